// Search where the site is read from the folder: there browsers refuse workers, so the worker runs in a hidden frame.
if (location.protocol === "file:") {
  const loaded = (inside, url) =>
    new Promise((done, failed) => {
      const script = inside.createElement("script");
      Object.assign(script, { src: url, onload: done, onerror: failed });
      inside.body.append(script);
    });

  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inner = frame.contentWindow;
      this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.inner.importScripts = (...urls) => Promise.all(urls.map((one) => loaded(this.inner.document, one)));
      this.ready = loaded(this.inner.document, url);
    }

    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
