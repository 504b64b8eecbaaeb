// The page: photos chosen by a person, a comparison, settings, files to keep.

import { Device, Service } from './host.js';
import { Failure } from './photo.js';
import { firstLanguage, LANGUAGES, words } from './strings.js';
import { zip } from './zip.js';

const PREVIEW = 1024; // longer side of what is compared, in pixels
const FILM = 144; // longer side of a small picture, in pixels
const FULL = 1600; // longest side of what is shown in full size, in pixels
const MOST_IN_ZIP = 4e9; // bytes, which its format counts in 32 bits
const NEAR = 28; // pixels from the border within which a finger means it
const READ_BY_SERVICE = '.heic,.heif,.avif,.jxl,.tif,.tiff,.dng,.cr2,.cr3,.nef,.arw,.raf,.orf,.rw2';
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
  opening: null,
  zoom: null, // the middle of what is shown in full size, in shares of the photo
  said: [], // of the line of status, so that it can be said in another language
  problem: null,
  shared: null,
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
  say(...state.said);
  if (state.problem) complain(...state.problem);
  if (state.current?.found) tell(state.current);
  $('pick').accept = host() === state.service && state.service ? `image/*,${READ_BY_SERVICE}` : 'image/*';
  showControls();
  showQueue();
  showRuns();
  if (state.current) place();
}

function appear(dark) {
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  $('dark').setAttribute('aria-pressed', String(dark));
}

function say(key, told) {
  state.said = [key, told];
  $('status').textContent = key ? t(key, told) : '';
}

function complain(failure, name) {
  state.problem = [failure, name];
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
  keepSettings();
  showControls();
  draw();
}

/** Settings stay for the next visit. */
function keepSettings() {
  const { controls } = state;
  stored('settings', JSON.stringify({ controls, model: $('model').value, format: $('format').value }));
}

/** What was set in an earlier visit, as far as there still is such a setting. */
function restore() {
  let told = null;
  try {
    told = JSON.parse(stored('settings'));
  } catch {
    // another version's, or somebody else's
  }
  for (const [name, value] of Object.entries(told?.controls ?? {})) {
    const fits = (typeof value === 'number' && value >= 0 && value <= 1) || value === AUTOMATIC[name];
    if (name in state.controls && fits) state.controls[name] = value;
  }
  for (const select of [$('model'), $('format')]) {
    if ([...select.options].some(({ value }) => value === told?.[select.id])) select.value = told[select.id];
  }
  showControls();
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
  $('format').value = 'same';
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
  const first = $('work').hidden;
  $('welcome').hidden = true;
  $('work').hidden = false;
  showQueue();
  show(photos[0]);
  if (first) $('split').focus({ preventScroll: true }); // the button that had it is gone
  films();
}

function remove(photo) {
  release(photo);
  const at = state.photos.indexOf(photo);
  state.photos.splice(at, 1);
  host().ask('close', { key: photo.key });
  if (!state.photos.length) {
    state.current = null;
    state.opening?.abort();
    if (!state.work) busy(false);
    $('work').hidden = true;
    $('welcome').hidden = false;
    document.body.dataset.state = 'empty';
    say();
  } else if (photo === state.current) {
    show(state.photos[Math.min(at, state.photos.length - 1)]);
  }
  showQueue();
  focusSomewhere();
}

/** Where the keyboard goes on when what it was on has gone: the photo that is shown, or the first button. */
function focusSomewhere() {
  const place = document.querySelector('#queue [aria-current=true]') ?? document.querySelector('#welcome [data-pick]');
  place?.focus({ preventScroll: true });
}

function closeProblem() {
  state.problem = null;
  $('problem').hidden = true;
  focusSomewhere();
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
  for (const id of ['download', 'share', 'copy']) $(id).disabled = !idle || state.current?.status !== 'open';
}

/** Small pictures of what waits, made by the browser. */
async function films() {
  for (const photo of [...state.photos]) {
    if (photo.film || photo.filming || !state.photos.includes(photo)) continue; // removed meanwhile
    photo.filming = true;
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

/** Pictures of a photo that is not shown any more are given back; it is opened anew when it is shown again. */
function release(photo) {
  for (const bitmap of [photo.before, photo.preview, photo.found?.before, photo.found?.after]) bitmap?.close();
  for (const name of ['before', 'preview', 'found']) delete photo[name];
  if (photo.status === 'open') photo.status = 'new';
}

async function show(photo) {
  if (state.current && state.current !== photo) release(state.current);
  state.current = photo;
  const chosen = () => state.current === photo && state.opening === opening;
  state.opening?.abort(); // a photo that was passed over need not be opened
  const opening = new AbortController();
  state.opening = opening;
  state.zoom = null;
  showQueue();
  document.body.dataset.state = 'opening';
  say(state.runs || host() === state.service ? 'opening' : 'starting', { name: photo.name });
  blank();
  if (!state.work) busy(true);
  const model = $('model').value;
  try {
    await started();
    if (!chosen()) return;
    say('opening', { name: photo.name });
    const asked = { key: photo.key, file: photo.file, model, preview: PREVIEW };
    const opened = await host().ask('open', asked, { signal: opening.signal });
    if (!chosen()) return;
    Object.assign(photo, opened, { status: 'open', model });
    photo.film ??= small(opened.before);
    paint($('before'), opened.before);
    paint($('after'), opened.before);
    document.body.dataset.state = 'open';
    $('stage').style.setProperty('--shape', photo.width / photo.height);
    place();
    showQueue();
    await draw();
    if (chosen()) say('ready', { name: photo.name });
  } catch (failure) {
    if (failure.key === 'cancelled') return;
    photo.status = 'failed';
    if (chosen()) {
      say();
      document.body.dataset.state = 'failed';
      complain(failure, photo.name);
    }
    showQueue();
  } finally {
    if (chosen() && !state.work) busy(false);
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
    const asked = { key: photo.key, file: photo.file, model: photo.model, controls: { ...state.controls } };
    const zoom = state.zoom && { ...state.zoom };
    const found = await host().ask(zoom ? 'part' : 'look', zoom ? { ...asked, ...cut(photo, zoom) } : asked);
    if (photo === state.current && !zoom === !state.zoom) {
      if (!zoom) photo.preview = found.after;
      paint($('before'), found.before ?? photo.before);
      paint($('after'), found.after);
      shift(0, 0);
      photo.found = found;
      tell(photo);
      place();
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

function tell(photo) {
  const parts = photo.notes.filter((note) => note.startsWith('note')).map((note) => t(note));
  if (photo.found.strength === 0) parts.unshift(t('untouched'));
  else if (photo.reduced) parts.unshift(t(state.zoom ? 'zoomed' : 'preview'));
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
  const smaller = shown.width * devicePixelRatio < 0.95 * (state.current?.width ?? 0);
  $('zoom').hidden = !(state.zoom || smaller);
  $('zoom').setAttribute('aria-pressed', String(!!state.zoom));
  $('pan').hidden = !state.zoom;
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

// --- Full size: a part of the photo, pixel for pixel

/** The part that fits the stage, of which the middle is where `zoom` says. */
function cut({ width, height }, zoom) {
  const box = $('stage').getBoundingClientRect();
  const along = (room, length, middle) => {
    const shown = Math.min(length, FULL, Math.max(1, Math.round(room * devicePixelRatio)));
    return [Math.round(Math.min(length - shown, Math.max(0, middle * length - shown / 2))), shown];
  };
  const [[left, columns], [top, rows]] = [along(box.width, width, zoom.x), along(box.height, height, zoom.y)];
  return { left, top, width: columns, height: rows };
}

function zoomTo(zoom) {
  state.zoom = zoom;
  const { before, preview } = state.current;
  if (!zoom) {
    paint($('before'), before);
    paint($('after'), preview ?? before);
  }
  place();
  draw();
}

/** Where a pointer is, in shares of the photo. */
function under({ clientX, clientY }) {
  const shown = $('before').getBoundingClientRect();
  return { x: (clientX - shown.left) / shown.width, y: (clientY - shown.top) / shown.height };
}

/** Move what is shown in full size by pixels of the screen. */
function pan(right, down) {
  const { width, height } = state.current;
  const part = cut(state.current, state.zoom);
  const moved = { x: part.left + right * devicePixelRatio, y: part.top + down * devicePixelRatio };
  const along = (start, shown, length) => (Math.min(length - shown, Math.max(0, start)) + shown / 2) / length;
  state.zoom = { x: along(moved.x, part.width, width), y: along(moved.y, part.height, height) };
  draw();
}

/** In full size a pointer moves the border where it is near to it, and else the photo. */
function listenToPan() {
  const surface = $('pan');
  let from = null;
  surface.addEventListener('pointerdown', (event) => {
    const line = document.querySelector('.border').getBoundingClientRect();
    surface.setPointerCapture(event.pointerId);
    from = { x: event.clientX, y: event.clientY, border: Math.abs(event.clientX - line.left - line.width / 2) <= NEAR };
  });
  surface.addEventListener('pointermove', (event) => {
    if (from?.border) drag(event);
    else if (from) shift(event.clientX - from.x, event.clientY - from.y);
  });
  for (const kind of ['pointerup', 'pointercancel']) {
    surface.addEventListener(kind, (event) => {
      if (from && !from.border) pan(from.x - event.clientX, from.y - event.clientY);
      from = null;
    });
  }
  surface.addEventListener('dblclick', () => zoomTo(null));
}

/** Carry the pictures along with a pointer until the part under it is drawn. */
function shift(right, down) {
  for (const canvas of [$('before'), $('after')]) canvas.style.translate = `${right}px ${down}px`;
}

function zoomKeys(event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!state.zoom || !event.shiftKey || !(event.key in steps)) return;
  event.preventDefault();
  const box = $('stage').getBoundingClientRect();
  const [right, down] = steps[event.key];
  pan((right * box.width) / 4, (down * box.height) / 4);
}

// --- Files to keep

/** Endings of names of each format, the usual one first. */
const ENDINGS = { jpeg: ['jpg', 'jpeg', 'jpe'], tiff: ['tiff', 'tif'] };

function resultName(photo, format) {
  const dot = photo.name.lastIndexOf('.');
  const stem = dot > 0 ? photo.name.slice(0, dot) : photo.name;
  const own = dot > 0 ? photo.name.slice(dot + 1) : '';
  const endings = ENDINGS[format] ?? [format];
  return `${stem}.relume.${endings.includes(own.toLowerCase()) ? own : endings[0]}`;
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

async function rendered(photo, signal, from, to, format = $('format').value) {
  const options = { key: photo.key, file: photo.file, model: $('model').value, format };
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

function copy() {
  const photo = state.current;
  return during(async (signal) => {
    try {
      const png = rendered(photo, signal, 0, 1, 'png').then(({ blob }) => new Blob([blob], { type: 'image/png' }));
      png.catch(() => null); // told below
      await navigator.clipboard.write([new ClipboardItem({ 'image/png': png })]).catch(async (failure) => {
        await png; // which says why, where it is the photo's fault
        throw new Failure('noClipboard', { said: String(failure.message ?? failure) });
      });
      say('copied', { name: photo.name });
    } catch (failure) {
      stopped(failure, photo);
    }
  });
}

/** Hand a result to another app, as phones do; what took too long for the browser waits for a second tap. */
function share() {
  const photo = state.current;
  return during(async (signal) => {
    try {
      const asked = JSON.stringify([photo.key, $('model').value, $('format').value, state.controls]);
      if (state.shared?.asked !== asked) {
        const { blob, name } = await rendered(photo, signal, 0, 1);
        state.shared = { asked, file: new File([blob], name, { type: blob.type }) };
      }
      say('ready', { name: photo.name });
      await navigator.share({ files: [state.shared.file] });
    } catch (failure) {
      if (failure.name === 'NotAllowedError') say('shareAgain', { name: photo.name });
      else if (failure.name !== 'AbortError') stopped(failure, photo);
    }
  });
}

function canShare() {
  const file = new File([''], 'photo.jpg', { type: 'image/jpeg' });
  return matchMedia('(pointer: coarse)').matches && !!navigator.canShare?.({ files: [file] });
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
        photo.status = 'failed';
      }
    }
    if (!results.length) return;
    if (results.reduce((size, { blob }) => size + blob.size, 0) > MOST_IN_ZIP) {
      complain(new Failure('tooMuch'), 'relume.zip');
      return;
    }
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
  const response = await fetch('site.json', { cache: 'no-cache' }).catch(() => null);
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
  addEventListener('resize', () => {
    place();
    if (state.zoom) draw();
  });
  addEventListener('beforeunload', (event) => state.work && event.preventDefault());
  $('split').addEventListener('input', place);
  $('split').addEventListener('keydown', zoomKeys);
  $('split').addEventListener('dblclick', (event) => !$('zoom').hidden && zoomTo(under(event)));
  $('zoom').addEventListener('click', () => zoomTo(state.zoom ? null : { x: 0.5, y: 0.5 }));
  listenToPan();
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
  $('model').addEventListener('change', () => {
    keepSettings();
    if (state.current) show(state.current);
  });
  $('format').addEventListener('change', keepSettings);
  $('mode').addEventListener('change', ({ target }) => {
    stored('mode', target.value);
    for (const photo of state.photos) photo.status = 'new'; // what one cannot read the other may
    speak();
    if (state.current) show(state.current);
  });
  $('settings').addEventListener('reset', (event) => {
    event.preventDefault();
    reset();
    keepSettings();
    draw();
  });
  $('settings').addEventListener('submit', (event) => event.preventDefault());
  $('download').addEventListener('click', download);
  $('downloadAll').addEventListener('click', downloadAll);
  $('cancel').addEventListener('click', () => state.work?.abort());
  $('share').addEventListener('click', share);
  $('share').hidden = !canShare();
  $('copy').addEventListener('click', copy);
  $('copy').hidden = !(navigator.clipboard?.write && 'ClipboardItem' in self);
  $('problem').querySelector('button').addEventListener('click', closeProblem);
  addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape') return;
    if (!$('problem').hidden) closeProblem();
    else if (state.zoom) zoomTo(null);
  });
  const system = matchMedia('(prefers-color-scheme: dark)');
  system.addEventListener('change', () => stored('theme') ?? appear(system.matches));
  appear((stored('theme') ?? (system.matches ? 'dark' : 'light')) === 'dark');
}

async function begin() {
  for (const [code, name] of Object.entries(LANGUAGES)) {
    $('language').add(new Option(name, code, false, code === state.language));
  }
  $('plain').remove();
  state.device = new Device(() => (state.started = null));
  listen();
  speak();
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
  restore();
  speak();
  keep(state.facts);
  started().catch((failure) => complain(failure, 'relume'));
}

begin();
