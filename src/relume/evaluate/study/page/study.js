// Two results side by side, in random order and on random sides; the answers become a file.

const $ = (id) => document.getElementById(id);
const KEYS = { ArrowLeft: 'left', ArrowRight: 'right', ArrowDown: 'neither' };
let study;
let trials = [];
let answers = [];
let since = 0;
let seen = false; // whether both pictures of the comparison are there

/** A whole number below another, from the browser's own source of randomness. */
function below(most) {
  return Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32) * most);
}

function shuffled(items) {
  const mixed = [...items];
  for (let at = mixed.length - 1; at > 0; at -= 1) {
    const other = below(at + 1);
    [mixed[at], mixed[other]] = [mixed[other], mixed[at]];
  }
  return mixed;
}

/** What this visitor is asked: the checks among others, and on which side each picture stands. */
function drawn() {
  const others = shuffled(Object.keys(study.pairs).filter((pair) => !study.always.includes(pair)));
  const chosen = [...study.always, ...others.slice(0, Math.max(0, study.asked - study.always.length))];
  return shuffled(chosen).map((pair) => {
    const [one, two, dark] = study.pairs[pair];
    const [left, right] = below(2) ? [one, two] : [two, one];
    return { pair, left, right, dark };
  });
}

const source = (picture) => `pictures/${picture}.jpg`;

async function show() {
  const number = answers.length;
  const trial = trials[number];
  seen = false;
  $('progress').max = trials.length;
  $('progress').value = answers.length;
  $('trial').hidden = !trial;
  $('end').hidden = !!trial;
  if (!trial) return;
  const shown = { left: trial.left, right: trial.right };
  for (const [side, picture] of Object.entries(shown)) document.querySelector(`[data-better=${side}] img`).src = source(picture);
  $('dark').hidden = !trial.dark;
  if (trial.dark) $('dark').querySelector('img').src = source(trial.dark);
  await Promise.all([...document.querySelectorAll('#sides img')].map((image) => image.decode().catch(() => null)));
  if (number !== answers.length) return; // one back meanwhile
  since = performance.now();
  seen = true;
  document.body.dataset.seen = number;
}

function answer(better) {
  if (!seen) return;
  const { pair, left, right } = trials[answers.length];
  const seconds = Math.round((performance.now() - since) / 100) / 10;
  answers.push({ pair, left, right, better, seconds });
  keep();
  show();
}

function save() {
  const content = JSON.stringify({ study: study.study, answers }, null, 1);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], { type: 'application/json' }));
  link.download = `answers-${study.study}.json`;
  link.click();
  keep(null); // whoever comes next begins anew
}

function back() {
  answers.pop();
  keep();
  show();
}

/** A page that is loaded again continues where it was. */
function keep(state = { trials, answers }) {
  try {
    if (state) localStorage.setItem(`study-${study.study}`, JSON.stringify(state));
    else localStorage.removeItem(`study-${study.study}`);
  } catch {
    // some browsers keep nothing
  }
}

function kept() {
  try {
    return JSON.parse(localStorage.getItem(`study-${study.study}`));
  } catch {
    return null;
  }
}

addEventListener('keydown', (event) => {
  if ($('trial').hidden || event.repeat || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key in KEYS) answer(KEYS[event.key]);
  else if (event.key === 'Backspace') back();
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll('[data-better]')) {
  button.addEventListener('click', () => answer(button.dataset.better));
}
$('back').addEventListener('click', back);
$('save').addEventListener('click', save);
$('start').addEventListener('click', () => {
  $('intro').hidden = true;
  show();
});

study = await (await fetch('study.json')).json();
({ trials, answers } = kept() ?? { trials: drawn(), answers: [] });
if (answers.length) $('start').textContent = 'Continue';
$('plain').remove();
$('start').hidden = false;
document.body.dataset.ready = 'true';
