// A photo in the browser: decoded as its file has it, and made a file again.

import { hasStandardCurve, inspect, jpegWith, png, uprightExif, uprightXmp } from './container.js';

export const MOST_PIXELS = 50e6;
const STRIP = 4 << 20; // pixels that are copied out at a time
const QUALITY = 0.95;

/** A failure with words of its own: a key of the strings, and what they need to know. */
export class Failure extends Error {
  constructor(key, told = {}) {
    super(key);
    this.key = key;
    this.told = told;
  }
}

/** The pixels of a file, upright, and what else it holds. */
export async function decode(file) {
  const about = await inspect(new Uint8Array(await file.arrayBuffer()));
  if (about.size && about.size[0] * about.size[1] > MOST_PIXELS) throw tooLarge(...about.size);
  const notes = [];
  const kept = about.icc ? hasStandardCurve(about.icc) : !about.curve || about.standard;
  const bitmap = await createImageBitmap(file, {
    colorSpaceConversion: kept ? 'none' : 'default',
    premultiplyAlpha: 'none',
  }).catch(() => {
    throw new Failure('undecodable');
  });
  if (bitmap.width * bitmap.height > MOST_PIXELS) throw tooLarge(bitmap.width, bitmap.height);
  let photo = pixelsOf(bitmap);
  if (photo.transparent) {
    const data = straight(bitmap);
    if (data) photo = { ...photo, data };
    else notes.push('noteAlpha');
  }
  bitmap.close();
  if (about.icc && !kept) {
    delete about.icc;
    notes.push('noteColours');
  }
  if (about.exif) about.exif = uprightExif(about.exif);
  if (about.xmp) about.xmp = uprightXmp(about.xmp);
  if (about.deep) notes.push('noteDeep');
  if (about.several) notes.push('noteSeveral');
  if (!['jpeg', 'png', 'webp'].includes(about.format)) notes.push('noteMetadata');
  return { ...photo, grey: about.grey && isGrey(photo.data), about, notes };
}

const tooLarge = (width, height) => new Failure('tooLarge', { width, height, most: MOST_PIXELS / 1e6 });

function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  const data = new Uint8ClampedArray(width * height * 4);
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP / width)));
  const canvas = new OffscreenCanvas(width, rows);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    data.set(context.getImageData(0, 0, width, count).data, top * width * 4);
  }
  const [least, most] = opacities(data);
  return { data, width, height, transparent: least < 255, opaque: least === 255 || most === 0 };
}

/**
 * The pixels of a bitmap as its file has them: a canvas of two dimensions multiplies colours by their opacity,
 * and what lies in transparent places is lost. Nothing where there is no WebGL, or the photo is too large.
 */
function straight(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl');
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) return null;
  const data = new Uint8ClampedArray(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(data.buffer));
  const failed = gl.getError() !== gl.NO_ERROR;
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return failed ? null : data;
}

function opacities(data) {
  let [least, most] = [255, 0];
  for (let at = 3; at < data.length; at += 4) {
    if (data[at] < least) least = data[at];
    if (data[at] > most) most = data[at];
  }
  return [least, most];
}

function isGrey(data) {
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] !== data[at + 1] || data[at] !== data[at + 2]) return false;
  }
  return true;
}

/** A photo shrunk to fit a square. */
export function shrunk(photo, side) {
  const share = Math.min(1, side / Math.max(photo.width, photo.height));
  if (share === 1) return photo;
  const [width, height] = [photo.width, photo.height].map((length) => Math.max(1, Math.round(length * share)));
  const whole = new OffscreenCanvas(photo.width, photo.height);
  whole.getContext('2d').putImageData(new ImageData(photo.data, photo.width, photo.height), 0, 0);
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(whole, 0, 0, width, height);
  return { ...photo, width, height, data: context.getImageData(0, 0, width, height).data };
}

/** The format in which a photo is written by default. */
export const formatFor = (photo) => (photo.about.format === 'png' || photo.transparent ? 'png' : 'jpeg');

/** A file of pixels with the blocks of the photo that they came from. */
export async function encode(photo, data, format) {
  const { width, height } = photo;
  if (format === 'png') return png({ ...photo, opaque: !photo.transparent, data }, photo.about);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff'; // what lies behind transparent places
  context.putImageData(new ImageData(data, width, height), 0, 0);
  context.globalCompositeOperation = 'destination-over';
  if (photo.transparent) context.fillRect(0, 0, width, height);
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: QUALITY });
  const bytes = jpegWith(new Uint8Array(await blob.arrayBuffer()), photo.about);
  return new Blob([bytes], { type: 'image/jpeg' });
}
