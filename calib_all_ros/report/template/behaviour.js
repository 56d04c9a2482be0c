"use strict";
// The page is complete without this: it adds the wipe between two outlines and the copy buttons.
document.documentElement.classList.add("scripted");

for (const figure of document.querySelectorAll(".wipe")) {
  const slider = figure.querySelector("input");
  const stage = figure.querySelector(".stage");
  const show = (percent) => {
    const place = Math.min(100, Math.max(0, percent));
    figure.style.setProperty("--cut", place + "%");
    slider.value = place;
    slider.setAttribute("aria-valuetext", Math.round(place) + " % before, the rest after");
  };
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    show((100 * (event.clientX - box.left)) / box.width);
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    follow(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (event.buttons) follow(event);
  });
  show(Number(figure.dataset.start));
}

const selectText = (element) => {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
};

for (const button of document.querySelectorAll("button.copy")) {
  const source = document.getElementById(button.dataset.source);
  button.addEventListener("click", async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Some browsers keep the clipboard from local files.
      selectText(source);
      copied = document.execCommand("copy");
    }
    button.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}
