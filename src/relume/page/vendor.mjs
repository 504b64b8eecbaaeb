// Puts what the page takes from the npm registry beside it; `make page` runs it. Not part of the page.

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FILES = [
  'ort.wasm.min.mjs',
  'ort-wasm-simd-threaded.mjs',
  'ort-wasm-simd-threaded.wasm',
  'ort.webgpu.min.mjs',
  'ort-wasm-simd-threaded.asyncify.mjs',
  'ort-wasm-simd-threaded.asyncify.wasm',
];

const from = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
const to = join(dirname(fileURLToPath(import.meta.url)), 'vendor');
const { name, version, license } = JSON.parse(readFileSync(join(from, '..', 'package.json'), 'utf8'));

rmSync(to, { recursive: true, force: true });
mkdirSync(to);
for (const file of FILES) copyFileSync(join(from, file), join(to, file));
writeFileSync(join(to, 'README.md'), `${name} ${version}, ${license}, by Microsoft; as published, unchanged.\n`);
