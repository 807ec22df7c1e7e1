"use strict";
// A spectrogram becomes its own play button. Without scripts the browser's players stay, and everything works.
(() => {
  let playing = null;
  const stop = () => { if (playing) { playing.audio.pause(); playing.audio.currentTime = 0; playing.button.style.removeProperty("--at"); playing.button.classList.remove("on"); playing = null; } };
  const follow = () => {
    if (!playing) return;
    playing.button.style.setProperty("--at", playing.audio.currentTime / (playing.audio.duration || 1));
    requestAnimationFrame(follow);
  };
  for (const box of document.querySelectorAll(".sound")) {
    const audio = box.querySelector("audio");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", "Play the sound: " + box.dataset.name);
    button.append(box.querySelector("img"));
    audio.removeAttribute("controls");
    box.prepend(button);
    audio.addEventListener("ended", stop);
    button.addEventListener("click", () => {
      const again = playing && playing.audio === audio;
      stop();
      if (again) return;
      playing = { audio, button };
      button.classList.add("on");
      audio.play().then(follow, stop);
    });
  }
})();
