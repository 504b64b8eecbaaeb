// The private mode: photos come in, results go out, and nothing else leaves this worker.

import { Cancelled, Enhancer, STEPS } from './enhancer.js';
import { frameOf, inside, pasted, placeOf, shared } from './frame.js';
import { cropped, decode, encode, Failure, formatFor, shrunk } from './photo.js';

const KEPT = 3; // photos whose previews are kept
const TILE = 1024; // side of a tile, in pixels of the network
const SMALL_TILE = 640; // for devices with little memory

const cancelled = new Set();
const looks = new Map();
let whole = {}; // the photo that is looked at in full size
let enhancer;
let turn = Promise.resolve();
let side = TILE;

const graphs = new Map();

/** The bytes of a graph, fetched once. */
function fetched(name) {
  if (!graphs.has(name)) graphs.set(name, fetchGraph(name));
  return graphs.get(name);
}

async function fetchGraph(name) {
  const response = await fetch(new URL(`graphs/${name}.onnx`, import.meta.url));
  if (!response.ok) throw new Failure('missingModel', { name });
  return new Uint8Array(await response.arrayBuffer());
}

const runtimes = { wasm: './vendor/ort.wasm.min.mjs', webgpu: './vendor/ort.webgpu.min.mjs' };

async function load(provider) {
  const ort = await import(runtimes[provider]);
  ort.env.wasm.wasmPaths = new URL('./vendor/', import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
  ort.env.logLevel = 'error';
  return ort;
}

/** Whether this device has a graphics processor that the runtime can use; a software one would only be slow. */
async function hasGraphics() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return !!adapter && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  } catch {
    return false;
  }
}

async function start({ facts, provider }) {
  const ort = await load('wasm');
  enhancer = new Enhancer(ort, fetched, facts);
  if (provider === 'webgpu' || (!provider && (await hasGraphics()))) {
    const graphics = await load('webgpu').catch(() => null);
    const faster = new Enhancer(ort, fetched, facts, graphics);
    if (graphics && (await agree(enhancer, faster, facts.model))) enhancer = faster;
  }
  if ((navigator.deviceMemory ?? 8) <= 4) side = SMALL_TILE;
  // All is fetched now, so that nothing is fetched later; what a first photo needs is made ready.
  const networks = Object.keys(facts.models).flatMap((model) => [`${model}.global`, `${model}.local`]);
  await Promise.all([...facts.graphs, ...networks].map(fetched));
  for (const name of [...STEPS, `${facts.model}.global`, `${facts.model}.local`]) await enhancer.session(name);
  return { provider: enhancer.graphics ? 'webgpu' : 'wasm', threads: ort.env.wasm.numThreads };
}

/** Whether the graphics processor computes what the processor does, on a small picture. */
async function agree(exact, faster, model) {
  try {
    const data = Uint8ClampedArray.from({ length: 64 * 96 * 4 }, (_, at) => (at % 4 === 3 ? 255 : (at * 7) % 61));
    const photo = { data, width: 96, height: 64, opaque: true };
    const [one, two] = [await exact.decide(photo, model), await faster.decide(photo, model)];
    return one.preview.after.data.every((value, at) => Math.abs(value - two.preview.after.data[at]) < 1 / 255);
  } catch {
    return false;
  }
}

/** A photo and its frame. */
async function opened(file) {
  const photo = await decode(file);
  return { ...photo, frame: frameOf(photo) };
}

async function open({ key, file, model, preview }) {
  if (whole.key !== key) whole = {};
  const photo = await opened(file);
  const small = shrunk(photo, preview);
  const decision = await enhancer.decide(inside(photo), model);
  const view = await enhancer.whole(inside(small), decision);
  const reduced = small !== photo;
  remember(key, { decision, view, small, photo: reduced ? null : photo });
  const { width, height, notes } = photo;
  const before = await createImageBitmap(new ImageData(small.data.slice(), small.width, small.height));
  return { width, height, notes, before, format: formatFor(photo), reduced };
}

function remember(key, look) {
  looks.delete(key);
  looks.set(key, look);
  for (const old of looks.keys()) {
    if (looks.size > KEPT) looks.delete(old);
  }
}

async function look({ key, controls }) {
  const known = looks.get(key);
  if (!known) throw new Failure('closed');
  remember(key, known);
  const { small, decision, view } = known;
  const adjustment = await enhancer.settle(decision, controls);
  const data = adjustment ? await finished(small, view, adjustment) : small.data.slice();
  const after = await createImageBitmap(new ImageData(data, small.width, small.height));
  return { after, strength: adjustment ? adjustment.strength.data[0] : 0 };
}

/** The pixels of a photo whose picture was seen at once, after the settled controls. */
async function finished(photo, view, adjustment) {
  return pasted(photo, placeOf(photo), (await enhancer.finish(view, adjustment)).data);
}

/** A part of a photo at its full size, before and after. */
async function part({ key, file, controls, ...place }) {
  const known = looks.get(key);
  if (!known) throw new Failure('closed');
  remember(key, known);
  if (whole.key !== key) {
    const photo = known.photo ?? (await opened(file));
    whole = { key, photo, picture: inside(photo) };
  }
  const { photo, picture } = whole;
  const adjustment = await enhancer.settle(known.decision, controls);
  const before = cropped(photo, place);
  const seen = adjustment && shared(place, placeOf(photo));
  let after = before;
  if (seen) {
    const { left, top } = placeOf(photo);
    const pixels = await enhancer.region(picture, known.decision, adjustment, { ...seen, left: seen.left - left, top: seen.top - top });
    after = pasted({ data: before, width: place.width }, { ...seen, left: seen.left - place.left, top: seen.top - place.top }, pixels);
  }
  const [one, two] = await Promise.all([before, after].map((data) => createImageBitmap(new ImageData(data, place.width, place.height))));
  return { before: one, after: two, strength: adjustment ? adjustment.strength.data[0] : 0 };
}

async function render({ id, key, file, model, controls, format }) {
  const known = looks.get(key)?.decision.model === model ? looks.get(key) : {};
  const photo = known.photo ?? (whole.key === key ? whole.photo : await opened(file));
  const picture = whole.photo === photo ? whole.picture : inside(photo);
  const decision = known.decision ?? (await enhancer.decide(picture, model));
  const adjustment = await enhancer.settle(decision, controls);
  const progress = (share) => {
    postMessage({ id, share });
    return !cancelled.has(id);
  };
  const wanted = format === 'same' ? formatFor(photo) : format;
  const { notes } = photo;
  if (!adjustment && wanted === photo.about.format && photo.about.format !== '') {
    return { blob: file, notes: [...notes, 'noteUntouched'], format: wanted };
  }
  let { data } = photo;
  if (adjustment && known.photo) data = await finished(photo, known.view, adjustment);
  else if (adjustment) {
    const pixels = await enhancer.render(picture, decision, adjustment, side, progress);
    data = picture === photo ? pixels : pasted(photo, placeOf(photo), pixels);
  }
  return { blob: await encode(photo, data, wanted), notes, format: wanted };
}

function close({ key }) {
  looks.delete(key);
  if (whole.key === key) whole = {};
}

const actions = { start, open, look, part, render, close };

async function answer(message) {
  const { id, action } = message;
  try {
    if (cancelled.has(id)) throw new Cancelled();
    postMessage({ id, done: await actions[action](message) });
  } catch (error) {
    postMessage({ id, failed: described(error) });
  } finally {
    cancelled.delete(id);
  }
}

function described(error) {
  if (error instanceof Failure) return { key: error.key, told: error.told };
  if (error instanceof Cancelled) return { key: 'cancelled', told: {} };
  const said = String(error?.message ?? error);
  if (/memory|allocat|out of bounds|RangeError: (Array|Invalid)/i.test(said)) return { key: 'memory', told: {} };
  return { key: 'fault', told: { said: said.slice(0, 200) } };
}

onmessage = ({ data }) => {
  if (data.action === 'cancel') cancelled.add(data.of);
  else turn = turn.then(() => answer(data));
};
