// A ZIP file of photos, which are compressed already: stored, with names in UTF-8.

import { crc32, joined } from './checksum.js';

const UTF8 = 0x0800;
const VERSION = 20;
const DATE = 0x21; // 1 January 1980: nothing about when it was made

function record(signature, fields) {
  const bytes = new Uint8Array(4 + fields.reduce((length, [size]) => length + size, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  let at = 4;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

/** Names that differ: a second `a.jpg` becomes `a (2).jpg`. */
export function distinct(names) {
  const taken = new Set();
  return names.map((name) => {
    const dot = name.lastIndexOf('.') > 0 ? name.lastIndexOf('.') : name.length;
    let found = name;
    for (let number = 2; taken.has(found.toLowerCase()); number += 1) {
      found = `${name.slice(0, dot)} (${number})${name.slice(dot)}`;
    }
    taken.add(found.toLowerCase());
    return found;
  });
}

/** A ZIP file from [{name, blob}]; parts stay blobs, so memory holds one photo at a time. */
export async function zip(files) {
  const names = distinct(files.map(({ name }) => name));
  const parts = [];
  const entries = [];
  let at = 0;
  for (const [index, { blob }] of files.entries()) {
    const name = new TextEncoder().encode(names[index]);
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    const shared = [[2, VERSION], [2, UTF8], [2, 0], [2, 0], [2, DATE], [4, crc], [4, blob.size], [4, blob.size]];
    const header = record(0x04034b50, [...shared, [2, name.length], [2, 0]]);
    parts.push(header, name, blob);
    const more = [[2, name.length], [2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, at]];
    entries.push(record(0x02014b50, [[2, VERSION], ...shared, ...more]), name);
    at += header.length + name.length + blob.size;
  }
  const directory = joined(entries);
  const count = files.length;
  const end = [[2, 0], [2, 0], [2, count], [2, count], [4, directory.length], [4, at], [2, 0]];
  return new Blob([...parts, directory, record(0x06054b50, end)], { type: 'application/zip' });
}
