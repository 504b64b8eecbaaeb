// Who computes: the worker on this device, or the service that the page came from. Both answer alike.

import { Failure } from './photo.js';

/** The worker, as functions that return promises. */
export class Device {
  constructor() {
    this.worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.waiting = new Map();
    this.last = 0;
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      for (const { fail } of this.waiting.values()) fail(new Failure('noRuntime'));
      this.waiting.clear();
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
    this.last += 1;
    const id = this.last;
    return new Promise((go, fail) => {
      this.waiting.set(id, { go, fail, progress });
      signal?.addEventListener('abort', () => this.worker.postMessage({ action: 'cancel', of: id }));
      this.worker.postMessage({ ...message, action, id });
    });
  }
}

const TYPES = { jpeg: 'image/jpeg', png: 'image/png', webp: 'image/webp' };

/** The service, asked as the worker is. */
export class Service {
  constructor() {
    this.previews = new Map();
  }

  async ask(action, message, options = {}) {
    return { start: async () => ({ provider: 'service' }), open, look, render, close }[action].call(this, message, options);
  }
}

async function open({ key, file, preview }) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Failure('undecodable');
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

async function render({ file, model, controls, format }, { progress, signal }) {
  progress?.(0);
  const { blob, notes } = await enhance(file, { model, controls, format, signal });
  const found = Object.keys(TYPES).find((name) => TYPES[name] === blob.type) ?? format;
  return { blob, notes, format: found };
}

async function close({ key }) {
  this.previews.delete(key);
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
