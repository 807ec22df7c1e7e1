"use strict";
// Pictures open large, sounds play with a line that moves. Without scripts the browser's players stay, and everything
// can be read.
(() => {
  const made = (tag, about = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(about)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };
  const button = (kind, label, ...inside) => made("button", { type: "button", class: kind, "aria-label": label, title: label }, ...inside);

  // Sounds: one at a time.
  let playing = null;
  const stop = () => {
    if (!playing) return;
    const { audio, key, box } = playing;
    playing = null;
    audio.pause();
    audio.currentTime = 0;
    key.setAttribute("aria-pressed", "false");
    box.classList.remove("on");
    box.style.removeProperty("--at");
  };
  const follow = () => {
    if (!playing) return;
    playing.box.style.setProperty("--at", playing.audio.currentTime / (playing.audio.duration || 1));
    requestAnimationFrame(follow);
  };
  const sounding = (box, audio) => {
    const key = button("play", "Play: " + box.dataset.name);
    key.setAttribute("aria-pressed", "false");
    audio.addEventListener("ended", stop);
    key.addEventListener("click", () => {
      const again = playing && playing.audio === audio;
      stop();
      if (again) return;
      playing = { audio, key, box };
      key.setAttribute("aria-pressed", "true");
      box.classList.add("on");
      audio.play().then(follow, stop);
    });
    box.append(key);
    return key;
  };

  // The picture of a cell beside those of the other sets: same item, same modality, same part.
  const beside = (cell) => {
    const view = cell.closest(".view"), set = cell.closest("[data-set]"), place = [...view.children].indexOf(cell);
    if (!set) return [{ cell, what: "" }];
    const found = [...set.parentElement.querySelectorAll(`[data-set] [data-modality="${view.dataset.modality}"]`)];
    return found.map((other) => ({ cell: other.children[place], what: other.closest("[data-set]").dataset.set })).filter((x) => x.cell);
  };
  const leading = [...document.querySelectorAll(".view > .cell")].filter((cell) => beside(cell)[0].cell === cell);
  const modality = (cell) => cell.closest(".view").dataset.modality;

  const dialog = made("dialog", { class: "zoom-box", "aria-labelledby": "zoom-name" });
  const name = made("p", { id: "zoom-name", class: "zoom-name", "aria-live": "polite" }), count = made("p", { class: "dim" });
  const close = button("round", "Close", "×"), stage = made("div", { class: "zoom-stage" }), words = made("div", { class: "zoom-words" });
  const back = button("round", "Previous", "‹"), on = button("round", "Next", "›"), turn = button("wide", "Other modality");
  dialog.append(made("header", {}, made("div", {}, name, count), close), stage, words, made("footer", {}, back, turn, on));
  let shown = null;

  const plate = ({ cell, what }) => {
    const picture = cell.querySelector("img"), audio = cell.querySelector("audio");
    const box = made("div", { class: "cell", "data-name": cell.dataset.name }, made("img", { src: picture.src, alt: picture.alt }));
    const large = made("figure", { class: cell.closest(".view").className }, box);
    large.classList.toggle("small", picture.naturalWidth <= 96);
    if (what) large.append(made("figcaption", {}, made("b", {}, what), cell.dataset.note ? " · " + cell.dataset.note : ""));
    if (audio) sounding(box, made("audio", { src: audio.src, preload: "none" }));
    return large;
  };
  const show = (cell) => {
    stop();
    shown = cell;
    const alike = leading.filter((other) => modality(other) === modality(cell)), card = cell.closest(".card");
    const others = [...new Set(card ? [...card.querySelectorAll(".view")].map((view) => view.dataset.modality) : [])];
    name.textContent = cell.dataset.name;
    count.textContent = `${alike.indexOf(cell) + 1} of ${alike.length}`;
    stage.replaceChildren(...beside(cell).map(plate));
    words.replaceChildren(...(card ? [...card.querySelectorAll(".captions, .began:not(.side > *)")] : []).map((list) => list.cloneNode(true)));
    turn.hidden = others.length < 2;
    turn.textContent = "Show the " + others[(others.indexOf(modality(cell)) + 1) % others.length];
    turn.setAttribute("aria-label", turn.textContent);
    turn.title = turn.textContent;
    back.disabled = on.disabled = alike.length < 2;
  };
  const go = (step) => {
    const alike = leading.filter((other) => modality(other) === modality(shown));
    show(alike[(alike.indexOf(shown) + step + alike.length) % alike.length]);
  };
  const swap = () => {
    const views = [...shown.closest(".card").querySelectorAll(".view")].filter((view) => leading.includes(view.children[0]));
    const view = views[(views.indexOf(shown.closest(".view")) + 1) % views.length];
    show(view.children[Math.min([...shown.parentElement.children].indexOf(shown), view.children.length - 1)]);
  };
  const open = (cell) => {
    if (!dialog.isConnected) document.body.append(dialog);
    show(beside(cell)[0].cell);
    dialog.showModal();
    on.focus();
  };
  close.addEventListener("click", () => dialog.close());
  back.addEventListener("click", () => go(-1));
  on.addEventListener("click", () => go(1));
  turn.addEventListener("click", swap);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { stop(); shown.querySelector(".zoom").focus(); });
  dialog.addEventListener("keydown", (event) => {
    const does = { ArrowLeft: () => go(-1), ArrowRight: () => go(1), ArrowUp: swap, ArrowDown: swap }[event.key];
    if (!does || ((event.key === "ArrowUp" || event.key === "ArrowDown") && turn.hidden)) return;
    event.preventDefault();
    does();
  });

  for (const cell of document.querySelectorAll(".view > .cell")) {
    const audio = cell.querySelector("audio"), picture = cell.querySelector("img");
    const zoom = button("zoom", "Enlarge: " + cell.dataset.name, picture);
    cell.prepend(zoom);
    zoom.addEventListener("click", () => open(cell));
    const keys = [zoom];
    if (audio) {
      audio.removeAttribute("controls");
      keys.push(sounding(cell, audio));
    }
    // one stop of the tab key for a picture; arrows go to the rest of it
    if (!leading.includes(cell) || cell !== cell.parentElement.children[0]) for (const key of keys) key.tabIndex = -1;
  }
})();
