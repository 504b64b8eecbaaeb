// Keeps the page for when there is no network, and says for hosts that cannot that it is isolated, which
// threads need. Its name carries the version of the site; another version is another worker and another store.

const STORE = `relume-${self.location.search.slice(1)}`;

function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

async function install() {
  const site = await (await fetch('site.json', { cache: 'no-cache' })).json();
  const store = await caches.open(STORE);
  // Past the browser's own store, in which a host may have had files of an earlier version kept for a while.
  await store.addAll(['./', 'site.json', ...site.files].map((file) => new Request(file, { cache: 'no-cache' })));
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith('relume-') && name !== STORE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** What the site says of itself comes fresh where there is a network, all else as it was kept. */
async function answer(request) {
  const store = await caches.open(STORE);
  const fresh = new URL(request.url).pathname.endsWith('/site.json');
  if (fresh) {
    const response = await fetch(request, { cache: 'no-cache' }).catch(() => null);
    if (response?.ok) return isolated(response);
  }
  const kept = await store.match(request, { ignoreSearch: true });
  if (kept) return isolated(kept);
  const response = await fetch(request);
  if (response.ok && response.status === 200) await store.put(request, response.clone());
  return isolated(response);
}

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method === 'GET' && request.url.startsWith(self.registration.scope)) event.respondWith(answer(request));
});
