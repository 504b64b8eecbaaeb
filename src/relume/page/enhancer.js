// One photo through the graphs: what relume.look does. Everything that is computed on pixels is in a graph;
// here they are cut, handed on and put together.

import { holding, margins, mirrored, overviewShape, range, tiles } from './geometry.js';
import { cropped } from './photo.js';

/** The graphs that every photo needs with the settings that the page begins with. */
export const STEPS = ['cells', 'overview', 'part', 'settle', 'prepare.1', 'finish.1'];

const REACH = 2; // pixels of the reduced photo that the guided filter reaches beyond a pixel's own

/** Thrown where a photo is no longer wanted. */
export class Cancelled extends Error {}

/** Lets messages arrive between two steps of the work. */
const breathe = () => new Promise((go) => setTimeout(go));

export class Enhancer {
  /**
   * @param ort onnxruntime-web on the processor, which runs the steps
   * @param read (name) => bytes of a graph
   * @param facts what the site says: `halo` and the like of each model, `large`
   * @param graphics onnxruntime-web on the graphics processor, for the networks; null for the processor
   */
  constructor(ort, read, facts, graphics = null) {
    Object.assign(this, { ort, read, facts, graphics, sessions: new Map() });
  }

  async session(name) {
    const network = name.endsWith('.local') || name.endsWith('.global');
    const graphics = network ? this.graphics : null;
    if (!this.sessions.has(name)) {
      const options = {
        executionProviders: [graphics ? 'webgpu' : 'wasm'],
        logSeverityLevel: 3,
        enableCpuMemArena: false,
        // The steps are many small nodes, which take longer to be optimised than they gain.
        graphOptimizationLevel: network ? 'all' : 'basic',
        // Threads that wait by spinning take the processor from those that work.
        extra: { session: { intra_op: { allow_spinning: '0' } } },
      };
      const loading = this.read(name).then((graph) => (graphics ?? this.ort).InferenceSession.create(graph, options));
      this.sessions.set(name, loading);
      loading.catch(() => this.sessions.delete(name));
    }
    return this.sessions.get(name);
  }

  async run(name, inputs) {
    return (await this.session(name)).run(inputs);
  }

  tensor(type, data, shape) {
    return new this.ort.Tensor(type, data, shape);
  }

  number(value) {
    return this.tensor('float32', Float32Array.of(value), []);
  }

  indices(values) {
    return this.tensor('int64', values, [values.length]);
  }

  /** The thumbnail of a whole photo, 1 x 3 x rows x columns; summed row by row of its cells, exactly. */
  async overview({ data, width, height, opaque }, side) {
    const [rows, columns] = overviewShape(height, width, side);
    const sums = new Float64Array(3 * rows * columns);
    const weights = new Float64Array(rows * columns);
    const cells = this.indices(range(0, columns));
    const all = this.tensor('float32', Float32Array.of(opaque ? 1 : 0), []);
    for (let row = 0; row < rows; row += 1) {
      const start = Math.floor((row * height) / rows);
      const stop = Math.ceil(((row + 1) * height) / rows);
      const strip = new Uint8Array(data.buffer, data.byteOffset + start * width * 4, (stop - start) * width * 4);
      const pixels = this.tensor('uint8', strip, [stop - start, width, 4]);
      const found = await this.run('cells', { pixels, opaque: all, cells });
      for (let channel = 0; channel < 3; channel += 1) {
        const part = found.sums.data.subarray(channel * columns, (channel + 1) * columns);
        sums.set(part, (channel * rows + row) * columns);
      }
      weights.set(found.weights.data, row * columns);
    }
    const { thumbnail } = await this.run('overview', {
      sums: this.tensor('float64', sums, [3, rows, columns]),
      weights: this.tensor('float64', weights, [rows, columns]),
    });
    return thumbnail;
  }

  /** What must be known of a whole photo before any control is: valid for all settings of them. */
  async decide(photo, model) {
    const card = this.facts.models[model];
    const thumbnail = await this.overview(photo, card.thumbnail_size);
    const [, , rows, columns] = thumbnail.dims;
    const told = await this.run(`${model}.global`, { thumbnail });
    const around = [card.margin, card.margin];
    const image = await this.part(thumbnail, mirrored(rows, around), mirrored(columns, around));
    const where = [-around[0], -around[0], rows, columns];
    const change = await this.local(model, image, told, where, 0);
    const inside = (length) => range(around[0], around[0] + length);
    const preview = { before: thumbnail };
    preview.after = await this.part(change.enhanced, inside(rows), inside(columns));
    preview.local_gain = await this.part(change.local_gain, inside(rows), inside(columns));
    return { model, told, preview, black: !thumbnail.data.some((value) => value > 0) };
  }

  async part(image, rows, columns) {
    const found = await this.run('part', { image, rows: this.indices(rows), columns: this.indices(columns) });
    return found.part;
  }

  async local(model, image, told, where, step) {
    const place = this.tensor('float32', Float32Array.from(where), [1, 4]);
    const steps = this.tensor('float32', Float32Array.of(step), [1, 1]);
    return this.run(`${model}.local`, { image, ...told, place, step: steps });
  }

  /** The controls, settled for a photo; null where it is left as it is. */
  async settle(decision, controls) {
    if (controls.strength === 0 || decision.black) return null;
    const shared = {
      denoise: this.number(controls.denoise),
      highlight_guard: this.number(controls.highlight_guard),
    };
    const found = await this.run('settle', {
      ...decision.preview,
      ...shared,
      colour_guard: this.number(controls.colour_guard),
      strength: this.number(controls.strength === 'auto' ? -1 : controls.strength),
      exposure: this.number(controls.exposure ?? -1),
    });
    if (found.share.data[0] === 0) return null;
    return { strength: found.share, gain: found.gains, correction: found.corrections, ...shared };
  }

  /** By how much the network sees a photo reduced. */
  factorFor({ width, height }) {
    return width * height >= this.facts.large ? 2 : 1;
  }

  /** What the network does to a tile, ready for any settled controls. */
  async see(photo, decision, tile, factor) {
    const { margin } = this.facts.models[decision.model];
    const whole = [Math.ceil(photo.height / factor), Math.ceil(photo.width / factor)];
    const outer = [tile.rows.outer, tile.columns.outer];
    const around = outer.map((span, axis) => margins(span, whole[axis], margin));
    const lengths = outer.map(([start, stop]) => stop - start);
    const pixels = this.cut(photo, outer, factor);
    const [rows, columns] = lengths.map((length, axis) => this.indices(mirrored(length, around[axis])));
    const { image } = await this.run(`prepare.${factor}`, { pixels, rows, columns });
    const corner = outer.map(([start], axis) => start - around[axis][0]);
    const change = await this.local(decision.model, image, decision.told, [...corner, ...whole], 1 / 255);
    const inner = [tile.rows.inner, tile.columns.inner];
    return {
      inner,
      factor,
      grey: this.tensor('float32', Float32Array.of(photo.grey ? 1 : 0), []),
      pixels: factor === 1 && lengths.every((length, axis) => length === inner[axis][1] - inner[axis][0])
        ? pixels
        : this.cut(photo, inner, factor),
      change: { image, enhanced: change.enhanced, local_gain: change.local_gain },
      taken: inner.map((span, axis) => this.taken(span, outer[axis], around[axis][0], lengths[axis], factor)),
    };
  }

  /** Which rows or columns of what was seen become the inner ones. */
  taken([start, stop], [origin], before, length, factor) {
    const [first, last] = [start - origin, stop - origin];
    if (factor === 1) return { seen: range(before + first, before + last) };
    const seen = [Math.max(0, first - REACH), Math.min(length, last + REACH)];
    return {
      seen: range(before + seen[0], before + seen[1]),
      part: range(first - seen[0], last - seen[0] + 2),
    };
  }

  /** The pixels of a tile after the settled controls. */
  async finish(view, adjustment) {
    const { strength, gain, correction, denoise, highlight_guard } = adjustment;
    const [rows, columns] = view.taken;
    const inputs = { pixels: view.pixels, ...view.change, gain, correction, strength, denoise, highlight_guard };
    Object.assign(inputs, { seen_rows: this.indices(rows.seen), seen_columns: this.indices(columns.seen) });
    if (view.factor > 1) Object.assign(inputs, { rows: this.indices(rows.part), columns: this.indices(columns.part) });
    inputs.grey = view.grey;
    return (await this.run(`finish.${view.factor}`, inputs)).result;
  }

  /** A part of the photo at full resolution; its last row and column are repeated up to whole squares. */
  cut({ data, width, height }, [[top, bottom], [left, right]], factor) {
    const rows = (bottom - top) * factor;
    const columns = (right - left) * factor;
    const pixels = new Uint8Array(rows * columns * 4);
    const [first, kept] = [left * factor, Math.min(columns, width - left * factor)];
    for (let row = 0; row < rows; row += 1) {
      const from = (Math.min(top * factor + row, height - 1) * width + first) * 4;
      const to = row * columns * 4;
      pixels.set(data.subarray(from, from + kept * 4), to);
      for (let column = kept; column < columns; column += 1) {
        pixels.copyWithin(to + column * 4, to + (kept - 1) * 4, to + kept * 4);
      }
    }
    return this.tensor('uint8', pixels, [rows, columns, 4]);
  }

  /**
   * Carry out a look for a whole photo, tile by tile.
   *
   * @param side of a tile; changes memory, not the result
   * @param progress (share) => whether to go on
   */
  async render(photo, decision, adjustment, side, progress = () => true) {
    const { width, height } = photo;
    const result = new Uint8ClampedArray(photo.data.length);
    const factor = this.factorFor(photo);
    const { halo, multiple } = this.surroundings(decision, factor);
    const all = tiles(Math.ceil(height / factor), Math.ceil(width / factor), side, halo, multiple);
    for (const [index, tile] of all.entries()) {
      await breathe();
      if (!progress(index / all.length)) throw new Cancelled();
      const done = await this.finish(await this.see(photo, decision, tile, factor), adjustment);
      const [rows, columns] = done.dims;
      const [top, left] = [tile.rows.inner[0] * factor, tile.columns.inner[0] * factor];
      const kept = Math.min(columns, width - left) * 4;
      for (let row = 0; row < Math.min(rows, height - top); row += 1) {
        const from = row * columns * 4;
        result.set(done.data.subarray(from, from + kept), ((top + row) * width + left) * 4);
      }
    }
    await breathe();
    if (!progress(1)) throw new Cancelled();
    return result;
  }

  /** What a look makes of a part of a photo, as it does in the whole; `place` is in pixels of the photo. */
  async region(photo, decision, adjustment, { left, top, width, height }) {
    const factor = this.factorFor(photo);
    const { halo, multiple } = this.surroundings(decision, factor);
    const along = (start, length, whole) => holding(start / factor, (start + length) / factor, Math.ceil(whole / factor), halo, multiple);
    const [rows, columns] = [along(top, height, photo.height), along(left, width, photo.width)];
    const { data, dims } = await this.finish(await this.see(photo, decision, { rows, columns }, factor), adjustment);
    const place = { left: left - columns.inner[0] * factor, top: top - rows.inner[0] * factor, width, height };
    return cropped({ data, width: dims[1] }, place);
  }

  /** What a tile must see around it, and what its sides are multiples of. */
  surroundings(decision, factor) {
    const { halo, size_multiple: multiple } = this.facts.models[decision.model];
    return { halo: halo + (factor === 1 ? 0 : Math.ceil(REACH / multiple) * multiple), multiple };
  }

  /** A whole small photo, seen once; `finish` then takes any controls. */
  async whole(photo, decision) {
    const [tile] = tiles(photo.height, photo.width, 0, 0, 1);
    return this.see(photo, decision, tile, 1);
  }
}
