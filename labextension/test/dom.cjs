// The browser that tests get: jsdom, with what JupyterLab's modules look for while they load.
const { JSDOM } = require('jsdom');

const { window } = new JSDOM('<!DOCTYPE html><body></body>', { pretendToBeVisual: true, url: 'http://localhost/' });
const missing = Object.getOwnPropertyNames(window).filter(name => !(name in globalThis));
for (const name of [...missing, 'document', 'window']) {
  Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
}
globalThis.window = globalThis;
globalThis.DragEvent ??= class DragEvent extends window.MouseEvent {};
globalThis.requestIdleCallback ??= callback => setTimeout(callback, 0);
