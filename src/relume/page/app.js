// The page: photos chosen by a person, a comparison, settings, files to keep.

import { Device, Service } from './host.js';
import { Failure } from './photo.js';
import { firstLanguage, LANGUAGES, words } from './strings.js';
import { zip } from './zip.js';

const PREVIEW = 1024; // longer side of what is compared, in pixels
const FILM = 144; // longer side of a small picture, in pixels
const AUTOMATIC = { strength: 'auto', exposure: null }; // the values of controls that a photo can decide
const $ = (id) => document.getElementById(id);
const all = (selector) => document.querySelectorAll(selector);

const state = {
  language: firstLanguage(stored('language'), navigator.languages ?? []),
  facts: null,
  device: null,
  service: null,
  started: null,
  photos: [],
  current: null,
  controls: {},
  work: null,
  drawing: false,
  again: false,
};

const t = (key, told) => words(state.language, key, told);

function stored(name, value) {
  try {
    if (value !== undefined) localStorage.setItem(`relume.${name}`, value);
    return localStorage.getItem(`relume.${name}`);
  } catch {
    return null; // some browsers keep nothing
  }
}

// --- Words and appearance

function speak() {
  document.documentElement.lang = state.language;
  document.title = t('title');
  for (const each of all('[data-t]')) each.textContent = t(each.dataset.t);
  for (const each of all('[data-label]')) each.setAttribute('aria-label', t(each.dataset.label));
  for (const each of all('[data-title]')) each.title = t(each.dataset.title);
  for (const each of all('[data-name]')) each.setAttribute('aria-label', t('remove', { name: each.dataset.name }));
  $('promise').textContent = t(host() === state.service ? 'promiseService' : 'promise');
  showControls();
  showQueue();
  showRuns();
}

function appear(dark) {
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  $('dark').setAttribute('aria-pressed', String(dark));
}

function say(key, told) {
  $('status').textContent = key ? t(key, told) : '';
}

function complain(failure, name) {
  const { key, told } = failure instanceof Failure ? failure : { key: 'fault', told: { said: String(failure) } };
  $('problem').querySelector('p').textContent = t(key, { name, ...told });
  $('problem').hidden = false;
}

// --- Who computes

function host() {
  return $('mode').value === 'service' && state.service ? state.service : state.device;
}

/** The device begins when it is first needed, as it fetches what it computes with. */
function started() {
  if (host() === state.service) return Promise.resolve();
  state.started ??= state.device.ask('start', { facts: state.facts, provider: state.facts.provider }).then((told) => {
    state.runs = told;
    document.body.dataset.provider = told.provider;
    showRuns();
  });
  state.started.catch(() => (state.started = null));
  return state.started;
}

function showRuns() {
  if (!state.runs || host() === state.service) {
    $('runs').textContent = '';
    return;
  }
  const computed = state.runs.provider === 'webgpu' ? t('runsOnGraphics') : t('runsOn', state.runs);
  $('runs').textContent = navigator.serviceWorker?.controller ? `${computed} · ${t('offline')}` : computed;
}

// --- Settings

const limits = { min: 0, max: 100, step: 1 };

function makeControls() {
  for (const name of Object.keys(state.facts.controls)) {
    const box = document.createElement('div');
    box.className = 'control';
    box.dataset.control = name;
    box.innerHTML = `<label for="${name}" data-t="${name}"></label><output for="${name}"></output>
      <span class="help" id="${name}-help" data-t="${name}Help"></span>
      <span class="row"><input id="${name}" type="range" aria-describedby="${name}-help"></span>`;
    const input = box.querySelector('input');
    Object.assign(input, limits);
    input.addEventListener('input', () => set(name, Number(input.value) / 100));
    if (name in AUTOMATIC) {
      const auto = document.createElement('button');
      Object.assign(auto, { type: 'button', className: 'auto' });
      auto.addEventListener('click', () => {
        const automatic = state.controls[name] === AUTOMATIC[name];
        set(name, automatic ? Number(input.value) / 100 : AUTOMATIC[name]);
      });
      box.querySelector('.row').append(auto);
    }
    $('controls').append(box);
  }
}

function set(name, value) {
  state.controls[name] = value;
  showControls();
  draw();
}

function showControls() {
  for (const box of all('.control')) {
    const { control: name } = box.dataset;
    const value = state.controls[name];
    const automatic = name in AUTOMATIC && value === AUTOMATIC[name];
    const [input, auto] = [box.querySelector('input'), box.querySelector('.auto')];
    box.classList.toggle('automatic', automatic);
    if (!automatic) input.value = Math.round(value * 100);
    const shown = automatic ? t('automatic') : `${Math.round(value * 100)} %`;
    box.querySelector('output').textContent = shown;
    input.setAttribute('aria-valuetext', shown);
    if (auto) {
      auto.textContent = t('auto');
      auto.setAttribute('aria-label', `${t('auto')}, ${t(name)}`);
      auto.setAttribute('aria-pressed', String(automatic));
    }
  }
}

function reset() {
  state.controls = { ...state.facts.controls };
  for (const box of all('.control')) box.querySelector('input').value = box.dataset.control === 'exposure' ? 40 : 100;
  showControls();
}

// --- Photos

let count = 0;

function add(files) {
  const photos = [...files].map((file) => {
    count += 1;
    return { key: count, file, name: file.name || t('before'), status: 'new' };
  });
  if (!photos.length) return;
  state.photos.push(...photos);
  $('welcome').hidden = true;
  $('work').hidden = false;
  showQueue();
  show(photos[0]);
  films();
}

function remove(photo) {
  const at = state.photos.indexOf(photo);
  state.photos.splice(at, 1);
  host().ask('close', { key: photo.key });
  if (!state.photos.length) {
    state.current = null;
    $('work').hidden = true;
    $('welcome').hidden = false;
    document.body.dataset.state = 'empty';
    say();
  } else if (photo === state.current) {
    show(state.photos[Math.min(at, state.photos.length - 1)]);
  }
  showQueue();
}

function showQueue() {
  const focused = document.activeElement?.dataset?.film;
  $('queue').replaceChildren(
    ...state.photos.map((photo) => {
      const item = document.createElement('li');
      const film = document.createElement('button');
      Object.assign(film, { type: 'button', className: 'film', title: photo.name });
      film.setAttribute('aria-label', photo.name);
      film.setAttribute('aria-current', String(photo === state.current));
      film.dataset.film = photo.key;
      film.append(photo.film ?? '…');
      film.classList.toggle('failed', photo.status === 'failed');
      film.addEventListener('click', () => show(photo));
      const away = document.createElement('button');
      Object.assign(away, { type: 'button', className: 'remove' });
      away.setAttribute('aria-label', t('remove', { name: photo.name }));
      away.innerHTML = $('problem').querySelector('button').innerHTML;
      away.addEventListener('click', () => remove(photo));
      item.append(film, away);
      return item;
    }),
  );
  if (focused) document.querySelector(`[data-film="${focused}"]`)?.focus();
  const good = state.photos.filter((photo) => photo.status !== 'failed').length;
  $('downloadAll').hidden = good < 2;
  $('downloadAll').textContent = t('downloadAll', { count: good });
  const idle = !state.work;
  $('downloadAll').disabled = !idle || !good;
  $('download').disabled = !idle || state.current?.status !== 'open';
}

/** Small pictures of what waits, made by the browser. */
async function films() {
  for (const photo of state.photos.filter((each) => !each.film)) {
    const bitmap = await createImageBitmap(photo.file).catch(() => null);
    if (!bitmap) continue;
    photo.film = small(bitmap);
    bitmap.close();
    showQueue();
  }
}

function small(bitmap) {
  const canvas = document.createElement('canvas');
  const share = Math.min(1, FILM / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, bitmap.width * share);
  canvas.height = Math.max(1, bitmap.height * share);
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

async function show(photo) {
  state.current = photo;
  const chosen = () => state.current === photo;
  showQueue();
  if (photo.status === 'failed') {
    document.body.dataset.state = 'failed';
    blank();
    complain(photo.failure, photo.name);
    return;
  }
  document.body.dataset.state = 'opening';
  say(state.runs || host() === state.service ? 'opening' : 'starting', { name: photo.name });
  blank();
  busy(true);
  const model = $('model').value;
  try {
    await started();
    if (!chosen()) return;
    say('opening', { name: photo.name });
    const opened = await host().ask('open', { key: photo.key, file: photo.file, model, preview: PREVIEW });
    Object.assign(photo, opened, { status: 'open', model });
    if (!chosen()) return;
    paint($('before'), opened.before);
    paint($('after'), opened.before);
    document.body.dataset.state = 'open';
    place();
    showQueue();
    await draw();
    if (chosen()) say('ready', { name: photo.name });
  } catch (failure) {
    Object.assign(photo, { status: 'failed', failure });
    if (chosen()) {
      say();
      document.body.dataset.state = 'failed';
      complain(failure, photo.name);
    }
    showQueue();
  } finally {
    if (chosen()) busy(false);
  }
}

function blank() {
  for (const canvas of [$('before'), $('after')]) canvas.width = canvas.height = 1;
  $('told').textContent = '';
}

function paint(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
}

/** Draw what the settings make of the photo; while one is drawn, only the latest settings wait. */
async function draw() {
  const photo = state.current;
  if (photo?.status !== 'open') return;
  if (state.drawing) {
    state.again = true;
    return;
  }
  state.drawing = true;
  document.body.dataset.drawing = 'true';
  try {
    const controls = { ...state.controls };
    const found = await host().ask('look', { key: photo.key, model: photo.model, controls });
    if (photo === state.current) {
      paint($('after'), found.after);
      tell(photo, found.strength);
    }
  } catch (failure) {
    if (failure.key === 'closed') show(photo);
    else complain(failure, photo.name);
  } finally {
    state.drawing = false;
    if (state.again) {
      state.again = false;
      draw();
    } else {
      document.body.dataset.drawing = 'false';
    }
  }
}

function tell(photo, strength) {
  const parts = photo.notes.filter((note) => note.startsWith('note')).map((note) => t(note));
  if (strength === 0) parts.unshift(t('untouched'));
  else if (photo.reduced) parts.unshift(t('preview'));
  $('told').textContent = parts.join(' ');
}

// --- Comparing

function place() {
  const [stage, canvas] = [$('stage'), $('before')];
  const [box, shown] = [stage.getBoundingClientRect(), canvas.getBoundingClientRect()];
  const share = Number($('split').value) / 100;
  stage.style.setProperty('--split', `${share * 100}%`);
  stage.style.setProperty('--left', `${shown.left - box.left}px`);
  stage.style.setProperty('--top', `${shown.top - box.top}px`);
  stage.style.setProperty('--width', `${shown.width}px`);
  stage.style.setProperty('--height', `${shown.height}px`);
  stage.style.setProperty('--at', `${share * shown.width}px`);
  $('split').setAttribute('aria-valuetext', `${t('before')} ${Math.round(share * 100)} %`);
}

/** The border goes to where the finger or the mouse is, wherever it was before. */
function drag(event) {
  if (event.type === 'pointermove' && !event.buttons) return;
  const shown = $('before').getBoundingClientRect();
  const share = (event.clientX - shown.left) / shown.width;
  $('split').value = Math.round(100 * Math.min(1, Math.max(0, share)));
  place();
}

// --- Files to keep

const ENDINGS = { jpeg: 'jpg', png: 'png', webp: 'webp' };

function resultName(photo, format) {
  const dot = photo.name.lastIndexOf('.');
  const stem = dot > 0 ? photo.name.slice(0, dot) : photo.name;
  const own = dot > 0 ? photo.name.slice(dot + 1) : '';
  const same = ENDINGS[format] === own.toLowerCase() || (format === 'jpeg' && own.toLowerCase() === 'jpeg');
  return `${stem}.relume.${same ? own : (ENDINGS[format] ?? 'jpg')}`;
}

function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function busy(on, percent) {
  $('busy').hidden = !on;
  $('cancel').hidden = !state.work;
  if (percent === undefined) $('progress').removeAttribute('value');
  else $('progress').value = percent;
}

async function rendered(photo, signal, from, to) {
  const options = { key: photo.key, file: photo.file, model: $('model').value, format: $('format').value };
  const progress = (share) => {
    const percent = Math.round(100 * (from + share * (to - from)));
    busy(true, percent);
    say('working', { name: photo.name, percent });
  };
  progress(0);
  const found = await host().ask('render', { ...options, controls: { ...state.controls } }, { signal, progress });
  return { name: resultName(photo, found.format), ...found };
}

/** Work that can be stopped, one at a time. */
async function during(work) {
  if (state.work) return;
  state.work = new AbortController();
  showQueue();
  try {
    await started();
    await work(state.work.signal);
  } finally {
    state.work = null;
    busy(false);
    showQueue();
  }
}

function download() {
  const photo = state.current;
  return during(async (signal) => {
    try {
      const { blob, name, notes } = await rendered(photo, signal, 0, 1);
      save(blob, name);
      say('saved', { name });
      if (notes.includes('noteUntouched')) $('told').textContent = t('noteUntouched');
    } catch (failure) {
      stopped(failure, photo);
    }
  });
}

function downloadAll() {
  return during(async (signal) => {
    const results = [];
    const photos = state.photos.filter((photo) => photo.status !== 'failed');
    for (const [index, photo] of photos.entries()) {
      try {
        results.push(await rendered(photo, signal, index / photos.length, (index + 1) / photos.length));
      } catch (failure) {
        stopped(failure, photo);
        if (failure.key === 'cancelled') return;
        Object.assign(photo, { status: 'failed', failure });
      }
    }
    if (!results.length) return;
    save(await zip(results), 'relume.zip');
    say('savedAll', { count: results.length });
  });
}

function stopped(failure, photo) {
  if (failure.key === 'cancelled') say('stopped');
  else {
    say();
    complain(failure, photo.name);
  }
}

// --- Beginning

async function facts() {
  const response = await fetch('site.json').catch(() => null);
  if (response?.ok) return response.json();
  throw new Failure('missingModel', { name: 'site.json' });
}

/** Keep the page for when there is no network, and have it isolated where its host cannot say so. */
async function keep({ version }) {
  if (!version || !('serviceWorker' in navigator)) return;
  await navigator.serviceWorker.register(`sw.js?${version}`).catch(() => null);
  if (navigator.serviceWorker.controller) return;
  await new Promise((go) => navigator.serviceWorker.addEventListener('controllerchange', go, { once: true }));
  if (!self.crossOriginIsolated && !state.photos.length && !sessionStorage.isolated) {
    sessionStorage.isolated = '1'; // once only, should it not help
    location.reload();
  }
  showRuns();
}

function listen() {
  for (const each of all('[data-pick]')) each.addEventListener('click', () => $('pick').click());
  for (const each of all('[data-take]')) each.addEventListener('click', () => $('camera').click());
  for (const input of [$('pick'), $('camera')]) {
    input.addEventListener('change', () => {
      add(input.files);
      input.value = '';
    });
  }
  addEventListener('paste', (event) => add(event.clipboardData?.files ?? []));
  addEventListener('dragover', (event) => {
    event.preventDefault();
    $('dropping').hidden = false;
  });
  addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) $('dropping').hidden = true;
  });
  addEventListener('drop', (event) => {
    event.preventDefault();
    $('dropping').hidden = true;
    add(event.dataTransfer?.files ?? []);
  });
  addEventListener('resize', place);
  $('split').addEventListener('input', place);
  for (const kind of ['pointerdown', 'pointermove']) $('split').addEventListener(kind, drag);
  $('language').addEventListener('change', ({ target }) => {
    state.language = stored('language', target.value) ?? target.value;
    speak();
  });
  $('dark').addEventListener('click', () => {
    const dark = document.documentElement.dataset.theme !== 'dark';
    stored('theme', dark ? 'dark' : 'light');
    appear(dark);
  });
  $('model').addEventListener('change', () => state.current && show(state.current));
  $('mode').addEventListener('change', ({ target }) => {
    stored('mode', target.value);
    for (const photo of state.photos) photo.status = 'new'; // what one cannot read the other may
    speak();
    if (state.current) show(state.current);
  });
  $('settings').addEventListener('reset', (event) => {
    event.preventDefault();
    reset();
    draw();
  });
  $('settings').addEventListener('submit', (event) => event.preventDefault());
  $('download').addEventListener('click', download);
  $('downloadAll').addEventListener('click', downloadAll);
  $('cancel').addEventListener('click', () => state.work?.abort());
  $('problem').querySelector('button').addEventListener('click', () => ($('problem').hidden = true));
  const system = matchMedia('(prefers-color-scheme: dark)');
  system.addEventListener('change', () => stored('theme') ?? appear(system.matches));
  appear((stored('theme') ?? (system.matches ? 'dark' : 'light')) === 'dark');
}

async function begin() {
  for (const [code, name] of Object.entries(LANGUAGES)) {
    $('language').add(new Option(name, code, false, code === state.language));
  }
  listen();
  speak();
  state.device = new Device();
  try {
    state.facts = await facts();
  } catch (failure) {
    complain(failure, 'relume');
    return;
  }
  for (const name of Object.keys(state.facts.models)) $('model').add(new Option(name, name));
  $('model').value = state.facts.model;
  if (state.facts.service) {
    state.service = new Service();
    $('modes').hidden = !state.facts.private;
    $('mode').value = state.facts.private ? (stored('mode') ?? 'service') : 'service';
  }
  makeControls();
  reset();
  speak();
  keep(state.facts);
  started().catch((failure) => complain(failure, 'relume'));
}

begin();
