// How a photo is cut: relume.steps.tiles, and the shape of relume.steps.thumbnail. Whole numbers only; a
// test compares every function with its original.

const ceilDiv = (number, by) => Math.ceil(number / by);

/** Nearest whole number, halves to the even one, as Python rounds. */
const roundHalfEven = (value) => {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
};

/** Rows and columns of the thumbnail of a whole photo. */
export function overviewShape(height, width, side, multiple = 8) {
  const longer = Math.max(height, width);
  return [height, width].map(
    (length) => Math.max(2, roundHalfEven((side * length) / (longer * multiple))) * multiple,
  );
}

/** Runs of equal size along an axis: `inner` is kept, `outer` is what it must see. */
export function spans(length, side, halo, multiple) {
  const count = side ? ceilDiv(length, Math.max(side, multiple)) : 1;
  const step = ceilDiv(ceilDiv(length, count), multiple) * multiple;
  const found = [];
  for (let start = 0; start < length; start += step) {
    found.push({
      inner: [start, Math.min(start + step, length)],
      outer: [Math.max(0, start - halo), Math.min(start + step + halo, length)],
    });
  }
  return found;
}

/** The run along an axis that holds what lies from `start` to `stop`, whole multiples, and what it must see. */
export function holding(start, stop, length, halo, multiple) {
  const inner = [Math.floor(start / multiple) * multiple, Math.min(length, ceilDiv(stop, multiple) * multiple)];
  return { inner, outer: [Math.max(0, inner[0] - halo), Math.min(length, inner[1] + halo)] };
}

/** All tiles of a photo, row by row. */
export function tiles(height, width, side, halo, multiple) {
  const columns = spans(width, side, halo, multiple);
  return spans(height, side, halo, multiple).flatMap((rows) => columns.map((column) => ({ rows, columns: column })));
}

/** Pixels to be added before and after those of a tile: where the photo ends. */
export function margins([start, stop], whole, margin) {
  return [start === 0 ? margin : 0, stop >= whole ? margin : 0];
}

/** The numbers of `length` rows, continued by their mirror image back and forth, as an input of a graph. */
export function mirrored(length, [before, after]) {
  const period = Math.max(2 * (length - 1), 1);
  return BigInt64Array.from({ length: before + length + after }, (_, at) => {
    const ahead = (((at - before) % period) + period) % period;
    return BigInt(Math.min(ahead, period - ahead));
  });
}

/** The numbers from `start` up to `stop`, as an input of a graph. */
export function range(start, stop) {
  return BigInt64Array.from({ length: stop - start }, (_, at) => BigInt(start + at));
}
