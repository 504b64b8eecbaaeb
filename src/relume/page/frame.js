// The frame of a photo: relume.look.frame, whose rule this is. A test compares both.

import { cropped, isGrey } from './photo.js';

const EVEN = 1;
const JUMP = 4;
const [SOME, MOST] = [0.2, 0.5];
const [PARTS, ANY] = [4, 0.04];
const BEGUN = 0.3;
const ALIKE = 2;
const SOON = 16;
const THINNEST = 2;
const LEAST = 4;
const DEEPEST = 3;
const [DARKEST, LIGHTEST] = [2, 253];
const SAMPLE = 64;

/** Rows and columns that the frame of a photo takes: top, bottom, left and right, 0 each where there is none. */
export function frameOf({ data, width, height, transparent }) {
  let found = [0, 0, 0, 0];
  for (let depth = 0; depth < DEEPEST && !transparent; depth += 1) {
    const inner = outermost(data, inBox({ first: 0, rows: height, columns: width, row: width }, found));
    if (!inner.some(Boolean)) break;
    found = found.map((lines, side) => lines + inner[side]);
  }
  return found;
}

/** The picture in its frame, as a photo alone; the photo itself where it has none. */
export function inside(photo) {
  const place = placeOf(photo);
  if (place.width === photo.width && place.height === photo.height) return photo;
  const data = cropped(photo, place);
  return { ...photo, ...place, data, grey: isGrey(data), frame: [0, 0, 0, 0] };
}

/** Where the picture lies in its photo. */
export function placeOf({ width, height, frame: [top, bottom, left, right] }) {
  return { left, top, width: width - left - right, height: height - top - bottom };
}

/** A photo's pixels with others in their place; `place` is that of what is pasted. */
export function pasted({ data, width: row }, { left, top, width, height }, pixels) {
  const all = Uint8ClampedArray.from(data);
  for (let line = 0; line < height; line += 1) {
    all.set(pixels.subarray(line * width * 4, (line + 1) * width * 4), ((top + line) * row + left) * 4);
  }
  return all;
}

/** What two places share, or null. */
export function shared(one, other) {
  const [left, top] = [Math.max(one.left, other.left), Math.max(one.top, other.top)];
  const width = Math.min(one.left + one.width, other.left + other.width) - left;
  const height = Math.min(one.top + one.height, other.top + other.height) - top;
  return width > 0 && height > 0 ? { left, top, width, height } : null;
}

function inBox({ first, rows, columns, row }, [top, bottom, left, right]) {
  return { first: first + top * row + left, rows: rows - top - bottom, columns: columns - left - right, row };
}

/** Rows or columns of a box, from its beginning or its end. */
const rowsOf = ({ first, rows, columns, row }) => ({ first, count: rows, across: row, length: columns, along: 1 });
const columnsOf = ({ first, rows, columns, row }) => ({ first, count: columns, across: 1, length: rows, along: row });
const reversed = (lines) => ({ ...lines, first: lines.first + (lines.count - 1) * lines.across, across: -lines.across });

function outermost(data, box) {
  const found = frameWith(data, box, runs(data, rowsOf(box)));
  if (!found.some(Boolean)) return found;
  const colour = colourOf(data, found[0] ? rowsOf(box) : columnsOf(box));
  const rest = inBox(box, found);
  return isPlain(data, rest) || goesOn(data, rest, colour) ? [0, 0, 0, 0] : found;
}

function goesOn(data, box, colour) {
  if (colour.every((level) => level <= DARKEST) || colour.every((level) => level >= LIGHTEST)) return false;
  return [rowsOf(box), columnsOf(box)].some((lines) => {
    for (let line = 0; line < lines.count; line += 1) {
      let at = 0;
      while (at < lines.length && away(data, lines, line, at, colour) <= EVEN) at += 1;
      if (at === lines.length) return true;
    }
    return false;
  });
}

function frameWith(data, box, rows) {
  const between = columnsOf(inBox(box, [...rows, 0, 0]));
  const columns = pair(data, between, runs(data, between));
  const kept = pair(data, rowsOf(inBox(box, [0, 0, ...columns])), rows);
  if (rows.some(Boolean) && !kept.some(Boolean)) return frameWith(data, box, [0, 0]);
  return [...kept, ...columns];
}

function isPlain(data, box) {
  return [rowsOf(box), columnsOf(box)].some((lines) => {
    const [across, along] = [lines.count, lines.length].map((length) => Math.ceil(length / SAMPLE));
    for (let line = 0; line < lines.count; line += across) {
      const colour = pixel(data, lines, line, 0);
      for (let at = 0; at < lines.length; at += along) {
        if (away(data, lines, line, at, colour) > EVEN) return false;
      }
    }
    return true;
  });
}

function runs(data, lines) {
  const colour = colourOf(data, lines);
  const first = run(data, lines, colour);
  const last = first ? run(data, reversed(lines), colour) : 0;
  return last && LEAST * (lines.count - first - last) >= lines.count ? [first, last] : [0, 0];
}

function run(data, lines, colour) {
  const most = lines.count - Math.floor(lines.count / LEAST);
  for (let line = 0; line < most; line += 1) {
    for (let at = 0; at < lines.length; at += 1) {
      if (away(data, lines, line, at, colour) > EVEN) return line >= THINNEST ? line : 0;
    }
  }
  return 0;
}

function pair(data, lines, [before, after]) {
  if (!before) return [0, 0];
  const colour = colourOf(data, lines);
  const [first, last] = [end(data, lines, before, colour), end(data, reversed(lines), after, colour)];
  if (!first || !last) return [0, 0];
  const isAlike = Math.abs(first.lines - last.lines) <= ALIKE && (first.isWide || last.isWide);
  const isSharp = [first, last].every((each) => each.isWide && each.isSharp);
  return isAlike || isSharp ? [first.lines, last.lines] : [0, 0];
}

function end(data, lines, count, colour) {
  const after = Array.from({ length: Math.min(count, SOON, lines.count - count) }, (_, line) => count + line);
  const deviations = after.map((line) => deviation(data, lines, line, colour));
  const begins = deviations.findIndex((each) => each >= BEGUN * Math.max(...deviations));
  const seen = after.slice(begins).map((line) => differing(data, lines, line, colour));
  const total = (parts) => parts.reduce((sum, each) => sum + each, 0);
  if (total(seen[0]) < SOME * lines.length) return null;
  const isWide = lengths(lines.length).every(
    (length, part) => total(seen.map((parts) => parts[part])) >= ANY * length * seen.length,
  );
  return { lines: count + begins, isWide, isSharp: seen.some((parts) => total(parts) >= MOST * lines.length) };
}

/** Lengths of the parts of a line, the first ones a pixel longer where they differ. */
const lengths = (length) => Array.from({ length: PARTS }, (_, part) => Math.floor((length + PARTS - 1 - part) / PARTS));

/** How many pixels of each part of a line differ from a colour. */
function differing(data, lines, line, colour) {
  let at = 0;
  return lengths(lines.length).map((length) => {
    let count = 0;
    for (const stop = at + length; at < stop; at += 1) count += away(data, lines, line, at, colour) >= JUMP;
    return count;
  });
}

/** Mean deviation of a line from a colour. */
function deviation(data, lines, line, colour) {
  let sum = 0;
  for (let at = 0; at < lines.length; at += 1) {
    const from = indexOf(lines, line, at);
    for (let channel = 0; channel < 3; channel += 1) sum += Math.abs(data[from + channel] - colour[channel]);
  }
  return sum / (3 * lines.length);
}

const indexOf = ({ first, across, along }, line, at) => (first + line * across + at * along) * 4;

function pixel(data, lines, line, at) {
  const from = indexOf(lines, line, at);
  return [data[from], data[from + 1], data[from + 2]];
}

/** How far a pixel is from a colour, in the channel where it is farthest. */
function away(data, lines, line, at, colour) {
  const from = indexOf(lines, line, at);
  const red = Math.abs(data[from] - colour[0]);
  const green = Math.abs(data[from + 1] - colour[1]);
  return Math.max(red, green, Math.abs(data[from + 2] - colour[2]));
}

/** The median of the first line in each channel. */
function colourOf(data, lines) {
  return [0, 1, 2].map((channel) => {
    const values = Uint8Array.from({ length: lines.length }, (_, at) => data[indexOf(lines, 0, at) + channel]).sort();
    const middle = lines.length >> 1;
    return lines.length % 2 ? values[middle] : (values[middle - 1] + values[middle]) >> 1;
  });
}
