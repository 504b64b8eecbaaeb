// Who computes: the worker on this device, or the service that the page came from. Both answer alike.

import { Failure } from './photo.js';

/** The worker, as functions that return promises; one that fails as a whole is begun anew when it is asked. */
export class Device {
  /** @param ended called when the worker has failed, and must be told to start once more */
  constructor(ended = () => {}) {
    this.worker = null;
    this.waiting = new Map();
    this.last = 0;
    this.ended = ended;
  }

  begin() {
    this.worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.worker.terminate();
      this.worker = null;
      for (const { fail } of this.waiting.values()) fail(new Failure('noRuntime'));
      this.waiting.clear();
      this.ended();
    };
  }

  hear({ id, share, done, failed }) {
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    if (share !== undefined) {
      waiting.progress?.(share);
      return;
    }
    this.waiting.delete(id);
    if (failed) waiting.fail(new Failure(failed.key, failed.told));
    else waiting.go(done);
  }

  ask(action, message, { progress, signal } = {}) {
    if (!this.worker) this.begin();
    this.last += 1;
    const id = this.last;
    return new Promise((go, fail) => {
      this.waiting.set(id, { go, fail, progress });
      signal?.addEventListener('abort', () => this.waiting.has(id) && this.worker.postMessage({ action: 'cancel', of: id }));
      this.worker.postMessage({ ...message, action, id });
    });
  }
}

/** The service, asked as the worker is. */
export class Service {
  constructor() {
    this.previews = new Map();
    this.read = new Map(); // photos that only the service can read, as it reads them
    this.detail = {};
  }

  async ask(action, message, options = {}) {
    return { start: async () => ({ provider: 'service' }), open, look, part, render, close }[action].call(this, message, options);
  }
}

async function open({ key, file, model, preview }) {
  const bitmap = await createImageBitmap(file).catch(async () => {
    const { blob } = await enhance(file, { model, controls: { strength: 0 }, format: 'jpeg' });
    this.read.set(key, blob);
    return createImageBitmap(blob);
  });
  const share = Math.min(1, preview / Math.max(bitmap.width, bitmap.height));
  const size = [bitmap.width, bitmap.height].map((length) => Math.max(1, Math.round(length * share)));
  const canvas = new OffscreenCanvas(...size);
  canvas.getContext('2d').drawImage(bitmap, 0, 0, ...size);
  this.previews.set(key, await canvas.convertToBlob({ type: 'image/png' }));
  const before = canvas.transferToImageBitmap();
  const { width, height } = bitmap;
  return { width, height, notes: [], before, format: file.type === 'image/png' ? 'png' : 'jpeg', reduced: share < 1 };
}

async function look({ key, model, controls }) {
  const { blob, told } = await enhance(this.previews.get(key), { model, controls });
  return { after: await createImageBitmap(blob), strength: told?.strength ?? null };
}

/** A part of a photo at its full size; the whole result is kept until the settings change. */
async function part({ key, file, model, controls, left, top, width, height }) {
  const asked = JSON.stringify([key, model, controls]);
  if (this.detail.asked !== asked) this.detail = { asked, ...(await enhance(file, { model, controls, format: 'jpeg' })) };
  const { blob, told } = this.detail;
  const place = [left, top, width, height];
  const [before, after] = await Promise.all([this.read.get(key) ?? file, blob].map((from) => createImageBitmap(from, ...place)));
  return { before, after, strength: told?.strength ?? null };
}

async function render({ file, model, controls, format }, { progress, signal }) {
  progress?.(0);
  const { blob, notes } = await enhance(file, { model, controls, format, signal });
  return { blob, notes, format: blob.type.replace('image/', '') };
}

async function close({ key }) {
  this.previews.delete(key);
  this.read.delete(key);
  this.detail = {};
}

async function enhance(body, { model, controls, format = 'same', signal }) {
  const query = new URLSearchParams({ model });
  for (const [name, value] of Object.entries(controls)) if (value !== null) query.set(name, value);
  if (format !== 'same') query.set('format', format);
  const headers = { 'Content-Type': body.type || 'application/octet-stream' };
  const response = await fetch(`enhance?${query}`, { method: 'POST', body, headers, signal }).catch((error) => {
    throw new Failure(error.name === 'AbortError' ? 'cancelled' : 'unreachable');
  });
  if (!response.ok) throw await refusal(response);
  const told = (name) => JSON.parse(response.headers.get(name) ?? 'null');
  return { blob: await response.blob(), notes: told('Relume-Notes') ?? [], told: told('Relume-Look') };
}

/** What the service says of a request that it refuses: problem+json. */
async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const reason = problem.detail ?? problem.title ?? `${response.status}`;
  const said = `${reason[0].toUpperCase()}${reason.slice(1)}. ${problem.remedy ?? ''}`;
  return new Failure('refused', { said });
}
