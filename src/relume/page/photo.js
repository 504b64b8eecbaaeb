// A photo in the browser: decoded as its file has it, and made a file again.

import { hasStandardCurve, inspect, jpegWith, orientationOf, png, uprightExif, uprightXmp } from './container.js';

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
  const bytes = new Uint8Array(await file.arrayBuffer());
  const about = await inspect(bytes);
  if (about.size && about.size[0] * about.size[1] > MOST_PIXELS) throw tooLarge(...about.size);
  const notes = [];
  const kept = about.icc ? hasStandardCurve(about.icc) : !about.curve || about.standard;
  const { source, orientation } = unturned(file, bytes, about);
  const bitmap = await createImageBitmap(source, {
    colorSpaceConversion: kept ? 'none' : 'default',
    premultiplyAlpha: 'none',
  }).catch(() => {
    throw new Failure(about.format === 'isobmff' ? 'undecodableHeic' : 'undecodable');
  });
  if (bitmap.width * bitmap.height > MOST_PIXELS) throw tooLarge(bitmap.width, bitmap.height);
  let photo = pixelsOf(bitmap);
  if (photo.transparent) {
    const data = straight(bitmap);
    if (data) photo = { ...photo, data };
    else notes.push('noteAlpha');
  }
  bitmap.close();
  if (orientation > 1) photo = { ...photo, ...turned(photo, orientation) };
  if (about.icc && !kept) {
    delete about.icc;
    notes.push('noteColours');
  }
  if (about.exif) about.exif = uprightExif(about.exif);
  if (about.xmp) about.xmp = uprightXmp(about.xmp);
  if (about.deep) notes.push('noteDeep');
  if (about.several) notes.push('noteSeveral');
  if (!['jpeg', 'png', 'webp'].includes(about.format)) notes.push('noteMetadata');
  return { ...photo, grey: isGrey(photo.data), about, notes };
}

/**
 * A file as every browser decodes it, and the orientation that is left to be applied: by the EXIF block of a
 * WebP file some turn the photo, and some do not.
 */
function unturned(file, bytes, about) {
  const upright = about.format === 'webp' && about.exif && uprightExif(about.exif);
  if (!upright) return { source: file, orientation: 1 };
  const copy = bytes.slice();
  copy.set(upright, about.exif.byteOffset - bytes.byteOffset);
  return { source: new Blob([copy], { type: 'image/webp' }), orientation: orientationOf(about.exif) };
}

/** The pixels of a photo, upright, after the orientation that EXIF tells. */
export function turned({ data, width, height }, orientation) {
  const [right, bottom] = [width - 1, height - 1];
  const from = [
    (x, y) => [x, y],
    (x, y) => [right - x, y],
    (x, y) => [right - x, bottom - y],
    (x, y) => [x, bottom - y],
    (x, y) => [y, x],
    (x, y) => [y, bottom - x],
    (x, y) => [right - y, bottom - x],
    (x, y) => [right - y, x],
  ][orientation - 1];
  const [columns, rows] = orientation > 4 ? [height, width] : [width, height];
  const before = new Uint32Array(data.buffer, data.byteOffset, width * height);
  const after = new Uint32Array(width * height);
  for (let y = 0, at = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1, at += 1) {
      const [column, row] = from(x, y);
      after[at] = before[row * width + column];
    }
  }
  return { data: new Uint8ClampedArray(after.buffer), width: columns, height: rows };
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

export function isGrey(data) {
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] !== data[at + 1] || data[at] !== data[at + 2]) return false;
  }
  return true;
}

/** A photo shrunk to fit a square, and its frame with it: a line that shows some of both belongs to the frame. */
export function shrunk(photo, side) {
  const share = Math.min(1, side / Math.max(photo.width, photo.height));
  if (share === 1) return photo;
  const [width, height] = [photo.width, photo.height].map((length) => Math.max(1, Math.round(length * share)));
  const whole = new OffscreenCanvas(photo.width, photo.height);
  whole.getContext('2d').putImageData(new ImageData(photo.data, photo.width, photo.height), 0, 0);
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(whole, 0, 0, width, height);
  const [top, bottom, left, right] = photo.frame.map((lines) => Math.ceil(lines * share));
  const frame = top + bottom < height && left + right < width ? [top, bottom, left, right] : [0, 0, 0, 0];
  return { ...photo, width, height, frame, data: context.getImageData(0, 0, width, height).data };
}

/** The pixels of a part of a photo, or of what has its size. */
export function cropped({ data, width: row }, { left, top, width, height }) {
  const part = new Uint8ClampedArray(width * height * 4);
  for (let line = 0; line < height; line += 1) {
    const from = ((top + line) * row + left) * 4;
    part.set(data.subarray(from, from + width * 4), line * width * 4);
  }
  return part;
}

/** The format in which a photo is written by default. */
export const formatFor = (photo) => (photo.about.format === 'png' || photo.transparent ? 'png' : 'jpeg');

/** A file of pixels with the blocks of the photo that they came from. */
export async function encode(photo, data, format) {
  const { width, height } = photo;
  const grey = photo.grey && photo.about.grey;
  if (format === 'png') return png({ ...photo, opaque: !photo.transparent, grey, data }, photo.about);
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
