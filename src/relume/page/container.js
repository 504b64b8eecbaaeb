// What a photo's file says beside its pixels, read from one file and put into another: EXIF, ICC, XMP.

import { crc32, joined } from './checksum.js';

const text = (bytes) => String.fromCharCode(...bytes);
const ascii = (string) => Uint8Array.from(string, (letter) => letter.charCodeAt(0));
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const startsWith = (bytes, head) => head.every((byte, at) => bytes[at] === byte);

const EXIF = ascii('Exif\0\0');
const XMP = ascii('http://ns.adobe.com/xap/1.0/\0');
const ICC = ascii('ICC_PROFILE\0');
const IPTC = ascii('Photoshop 3.0\0');
const PNG = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
const MOST = 65533; // bytes of a JPEG segment

async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}
const deflate = (bytes) => through(new CompressionStream('deflate'), bytes);
const inflate = (bytes) => through(new DecompressionStream('deflate'), bytes);

/**
 * What a file is and holds: `format`, `grey`, `deep` (more than 8 bits), `alpha`, `several` pictures, and the
 * blocks `exif` (from its TIFF header on), `icc`, `xmp`, `iptc` and `texts`, where there are any.
 */
export async function inspect(bytes) {
  const about = { format: '', grey: false, deep: false, alpha: false, several: false, texts: [] };
  try {
    if (bytes[0] === 0xff && bytes[1] === 0xd8) readJpeg(bytes, about);
    else if (startsWith(bytes, PNG)) await readPng(bytes, about);
    else if (text(bytes.subarray(0, 4)) === 'RIFF' && text(bytes.subarray(8, 12)) === 'WEBP') readWebp(bytes, about);
    else if (text(bytes.subarray(4, 8)) === 'ftyp') about.format = 'isobmff';
    else if (text(bytes.subarray(0, 3)) === 'GIF') readGif(bytes, about);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    about.damaged = true; // the blocks end somewhere; the pixels may be whole
  }
  return about;
}

function* segments(bytes) {
  const view = viewOf(bytes);
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return;
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    const length = view.getUint16(at + 2);
    yield { marker, start: at, body: bytes.subarray(at + 4, at + 2 + length), end: at + 2 + length };
    if (marker === 0xda) return;
    at += 2 + length;
  }
}

function readJpeg(bytes, about) {
  const profile = [];
  about.format = 'jpeg';
  about.size = [0, 0];
  for (const { marker, body } of segments(bytes)) {
    if (marker === 0xe1 && startsWith(body, EXIF)) about.exif ??= body.subarray(EXIF.length);
    else if (marker === 0xe1 && startsWith(body, XMP)) about.xmp ??= body.subarray(XMP.length);
    else if (marker === 0xe2 && startsWith(body, ICC)) profile[body[ICC.length] - 1] = body.subarray(ICC.length + 2);
    else if (marker === 0xed && startsWith(body, IPTC)) about.iptc ??= body;
    else if (marker === 0xfe) about.texts.push({ comment: body });
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      about.size = [viewOf(body).getUint16(3), viewOf(body).getUint16(1)];
      about.grey = body[5] === 1;
      about.inks = body[5] === 4;
    }
  }
  if (profile.length && !profile.includes(undefined)) about.icc = joined(profile);
}

function* chunks(bytes) {
  const view = viewOf(bytes);
  for (let at = PNG.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    yield { name: text(bytes.subarray(at + 4, at + 8)), body: bytes.subarray(at + 8, at + 8 + length) };
    at += 12 + length;
  }
}

async function readPng(bytes, about) {
  about.format = 'png';
  for (const { name, body } of chunks(bytes)) {
    if (name === 'IHDR') {
      about.size = [viewOf(body).getUint32(0), viewOf(body).getUint32(4)];
      about.deep = body[8] === 16;
      about.grey = body[9] === 0 || body[9] === 4;
    } else if (name === 'eXIf') about.exif = body;
    else if (name === 'iCCP') about.icc = await inflate(body.subarray(body.indexOf(0) + 2)).catch(() => undefined);
    else if (name === 'acTL') about.several = true;
    else if (name === 'gAMA' || name === 'cICP') about.curve = true;
    else if (name === 'sRGB') about.standard = true;
    else if (name === 'iTXt' && text(body.subarray(0, 17)) === 'XML:com.adobe.xmp') {
      if (body[18] === 0) about.xmp = body.subarray(body.indexOf(0, body.indexOf(0, 20) + 1) + 1);
    } else if (['tEXt', 'zTXt', 'iTXt', 'pHYs'].includes(name)) about.texts.push({ name, body });
  }
}

function readWebp(bytes, about) {
  about.format = 'webp';
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = text(bytes.subarray(at, at + 4));
    const length = view.getUint32(at + 4, true);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (name === 'EXIF') about.exif = startsWith(body, EXIF) ? body.subarray(EXIF.length) : body;
    else if (name === 'ICCP') about.icc = body;
    else if (name === 'XMP ') about.xmp = body;
    else if (name === 'VP8X') [about.alpha, about.several] = [!!(body[0] & 0x10), !!(body[0] & 0x02)];
    at += 8 + length + (length & 1);
  }
}

function readGif(bytes, about) {
  const view = viewOf(bytes);
  const table = (flags) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0); // bytes of the colours
  const behind = (start) => {
    let at = start; // of a row of blocks, each with its length before it
    for (let length = view.getUint8(at); length; length = view.getUint8(at)) at += 1 + length;
    return at + 1;
  };
  let frames = 0;
  about.format = 'gif';
  for (let at = 13 + table(view.getUint8(10)); frames < 2 && at < bytes.length; ) {
    if (bytes[at] === 0x21) at = behind(at + 2);
    else if (bytes[at] === 0x2c) {
      frames += 1;
      about.several = frames > 1;
      at = behind(at + 11 + table(view.getUint8(at + 9)));
    } else return;
  }
}

/** An EXIF block for upright pixels: orientation 1, and no thumbnail, which shows the photo as it was. */
export function uprightExif(exif) {
  const block = exif.slice();
  const view = viewOf(block);
  const little = text(block.subarray(0, 2)) === 'II';
  try {
    const first = view.getUint32(4, little);
    const count = view.getUint16(first, little);
    for (let at = first + 2; at < first + 2 + 12 * count; at += 12) {
      const [tag, kind] = [view.getUint16(at, little), view.getUint16(at + 2, little)];
      if (tag === 0x0112 && kind === 3) view.setUint16(at + 8, 1, little);
      if (tag === 0x0112 && kind === 4) view.setUint32(at + 8, 1, little);
    }
    const next = first + 2 + 12 * count;
    const second = view.getUint32(next, little);
    if (second) {
      blankThumbnail(block, view, second, little);
      view.setUint32(next, 0, little);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined; // damaged
  }
  return block;
}

/** The orientation that an EXIF block tells, 1 where it tells none. */
export function orientationOf(exif) {
  const view = viewOf(exif);
  const little = text(exif.subarray(0, 2)) === 'II';
  try {
    const first = view.getUint32(4, little);
    for (let at = first + 2; at < first + 2 + 12 * view.getUint16(first, little); at += 12) {
      if (view.getUint16(at, little) !== 0x0112) continue;
      const value = view.getUint16(at + 8 + (view.getUint16(at + 2, little) === 4 && !little ? 2 : 0), little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return 1;
}

function blankThumbnail(block, view, at, little) {
  const found = {};
  for (let index = 0; index < view.getUint16(at, little); index += 1) {
    const entry = at + 2 + 12 * index;
    found[view.getUint16(entry, little)] = view.getUint32(entry + 8, little);
  }
  const [start, length] = [found[0x0201], found[0x0202]];
  if (start && length) block.fill(0, start, Math.min(start + length, block.length));
}

/** The orientation is told in XMP, too. */
export function uprightXmp(xmp) {
  const letters = Array.from(xmp, (byte) => String.fromCharCode(byte)).join('');
  return ascii(letters.replace(/(tiff:Orientation(?:\s*=\s*["']|>)\s*)[1-8](?=\s*["'<])/g, '$11'));
}

/** Whether the curves of a profile are sRGB's, so that pixels can stay as they are and keep it. */
export function hasStandardCurve(icc) {
  try {
    const view = viewOf(icc);
    if (text(icc.subarray(16, 20)) !== 'RGB ') return false;
    const curves = {};
    for (let index = 0; index < Math.min(view.getUint32(128), 100); index += 1) {
      const at = 132 + 12 * index;
      curves[text(icc.subarray(at, at + 4))] = view.getUint32(at + 4);
    }
    if (['A2B0', 'A2B1', 'A2B2'].some((name) => name in curves)) return false;
    return ['rTRC', 'gTRC', 'bTRC'].every((name) => isStandard(view, curves[name]));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}

function isStandard(view, at) {
  if (!at) return false;
  const kind = view.getUint32(at);
  const curve = kind === 0x70617261 ? parametric(view, at) : kind === 0x63757276 ? sampled(view, at) : null;
  if (!curve) return false;
  const standard = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return [0.02, 0.1, 0.3, 0.5, 0.7, 0.9].every((x) => Math.abs(curve(x) - standard(x)) < 0.002);
}

function parametric(view, at) {
  const number = (index) => view.getInt32(at + 12 + 4 * index) / 65536;
  if (view.getUint16(at + 8) !== 3) return null;
  const [g, a, b, c, d] = [0, 1, 2, 3, 4].map(number);
  return (x) => (x >= d ? (a * x + b) ** g : c * x);
}

function sampled(view, at) {
  const count = view.getUint32(at + 8);
  if (count < 2) return null;
  return (x) => {
    const place = x * (count - 1);
    const below = Math.min(Math.floor(place), count - 2);
    const [one, two] = [0, 1].map((step) => view.getUint16(at + 12 + 2 * (below + step)) / 65535);
    return one + (two - one) * (place - below);
  };
}

/** A JPEG file with the blocks that another file held, in place of its own. */
export function jpegWith(bytes, about) {
  const kept = [];
  let end = 2;
  for (const segment of segments(bytes)) {
    const own = segment.marker === 0xe1 || segment.marker === 0xe2 || segment.marker === 0xfe;
    if (segment.marker === 0xda) break;
    if (!own) kept.push(bytes.subarray(segment.start, segment.end));
    end = segment.end;
  }
  const frame = kept.length && kept[0][1] === 0xe0 ? 1 : 0;
  const blocks = [];
  const add = (marker, ...parts) => {
    const body = joined(parts);
    if (body.length > MOST) return;
    blocks.push(Uint8Array.of(0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255), body);
  };
  if (about.exif) add(0xe1, EXIF, about.exif);
  if (about.xmp) add(0xe1, XMP, about.xmp);
  const size = MOST - ICC.length - 2;
  const count = Math.ceil((about.icc?.length ?? 0) / size);
  for (let part = 0; part < count; part += 1) {
    add(0xe2, ICC, Uint8Array.of(part + 1, count), about.icc.subarray(part * size, (part + 1) * size));
  }
  if (about.iptc) add(0xed, about.iptc);
  for (const { comment } of about.texts) if (comment) add(0xfe, comment);
  return joined([bytes.subarray(0, 2), ...kept.slice(0, frame), ...blocks, ...kept.slice(frame), bytes.subarray(end)]);
}

function chunk(name, ...parts) {
  const body = joined([ascii(name), ...parts]);
  const bytes = new Uint8Array(body.length + 8);
  viewOf(bytes).setUint32(0, body.length - 4);
  bytes.set(body, 4);
  viewOf(bytes).setUint32(body.length + 4, crc32(body));
  return bytes;
}

/** A PNG file: the very pixels, transparency included, and the blocks of another file. */
export async function png({ data, width, height, opaque, grey }, about) {
  const taken = grey ? (opaque ? [0] : [0, 3]) : opaque ? [0, 1, 2] : [0, 1, 2, 3];
  const header = new Uint8Array(13);
  viewOf(header).setUint32(0, width);
  viewOf(header).setUint32(4, height);
  header[8] = 8;
  header[9] = { 1: 0, 2: 4, 3: 2, 4: 6 }[taken.length];
  const parts = [PNG, chunk('IHDR', header)];
  if (about.icc) parts.push(chunk('iCCP', ascii('profile\0\0'), await deflate(about.icc)));
  else parts.push(chunk('sRGB', Uint8Array.of(0)));
  for (const { name, body } of about.texts) if (name === 'pHYs') parts.push(chunk(name, body));
  if (about.exif) parts.push(chunk('eXIf', about.exif));
  if (about.xmp) parts.push(chunk('iTXt', ascii('XML:com.adobe.xmp\0\0\0\0\0'), about.xmp));
  for (const { name, body } of about.texts) if (name && name !== 'pHYs') parts.push(chunk(name, body));
  parts.push(chunk('IDAT', await compressed(data, width, height, taken)), chunk('IEND'));
  return new Blob(parts, { type: 'image/png' });
}

/** Rows of pixels, each less the row above it, compressed as they are made: the whole is never held twice. */
function compressed(data, width, height, taken) {
  const count = taken.length;
  let row = 0;
  const rows = new ReadableStream({
    pull(controller) {
      const lines = Math.min(64, height - row);
      const bytes = new Uint8Array(lines * (width * count + 1));
      for (let line = 0, at = 0; line < lines; line += 1, row += 1) {
        const above = row ? -width * 4 : 0;
        bytes[at++] = row ? 2 : 0;
        for (let from = row * width * 4; from < (row + 1) * width * 4; from += 4) {
          for (const channel of taken) {
            bytes[at++] = data[from + channel] - (above ? data[from + above + channel] : 0);
          }
        }
      }
      controller.enqueue(bytes);
      if (row >= height) controller.close();
    },
  });
  return new Response(rows.pipeThrough(new CompressionStream('deflate'))).arrayBuffer().then((all) => new Uint8Array(all));
}
