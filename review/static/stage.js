// The picture under its heat map: fading, zooming, moving. Used by the item's page and by the queue.

const STEP = 10;
const LARGEST = 12;

export function stage({ onPress } = {}) {
  const frame = document.getElementById("stage");
  const sheet = document.getElementById("sheet");
  const heat = document.getElementById("heat");
  const picture = document.getElementById("picture");
  const fade = document.getElementById("fade");
  let scale = 1, x = 0, y = 0, shown = true, before = 60;

  function draw() {
    sheet.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    frame.classList.toggle("zoomed", scale > 1);
    if (heat && fade) heat.style.opacity = shown ? fade.value / 100 : 0;
    if (scale > 1 && frame.dataset.large && picture.src.indexOf(frame.dataset.large) < 0) picture.src = frame.dataset.large;
  }
  function move(dx, dy) {
    const reachX = frame.clientWidth * (scale - 1) / 2, reachY = frame.clientHeight * (scale - 1) / 2;
    x = Math.max(-reachX, Math.min(reachX, x + dx));
    y = Math.max(-reachY, Math.min(reachY, y + dy));
    draw();
  }
  function zoom(factor) {
    const next = Math.max(1, Math.min(LARGEST, scale * factor));
    x *= next / scale; y *= next / scale; scale = next;
    move(0, 0);
  }
  function reset() { scale = 1; x = 0; y = 0; draw(); }
  function toggle() { shown = !shown; draw(); return shown; }
  function dim(by) { shown = true; if (fade) { fade.value = Number(fade.value) + by; } draw(); }

  fade?.addEventListener("input", () => { shown = true; draw(); });
  document.getElementById("zoom-in")?.addEventListener("click", () => zoom(1.5));
  document.getElementById("zoom-out")?.addEventListener("click", () => zoom(1 / 1.5));
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && scale === 1) return;
    event.preventDefault();
    if (event.ctrlKey) zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2); else move(-event.deltaX, -event.deltaY);
  }, { passive: false });
  frame.addEventListener("dblclick", () => (scale > 1 ? reset() : zoom(2.5)));
  let from = null;
  frame.addEventListener("pointerdown", (event) => {
    from = [event.clientX, event.clientY];
    if (scale > 1) frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!from || scale === 1 || !event.buttons) return;
    move(event.clientX - from[0], event.clientY - from[1]);
    from = [event.clientX, event.clientY];
  });
  frame.addEventListener("pointerup", (event) => {
    if (from && scale === 1 && onPress) onPress(event.clientX - from[0], event.clientY - from[1]);
    from = null;
  });
  frame.addEventListener("pointercancel", () => { from = null; });

  const keys = {
    "h": toggle, "m": toggle, "[": () => dim(-STEP), "]": () => dim(STEP), "+": () => zoom(1.5), "=": () => zoom(1.5),
    "-": () => zoom(1 / 1.5), "0": reset,
  };
  function key(event) {
    if (scale > 1 && event.shiftKey && event.key.startsWith("Arrow")) {
      const by = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
      move(...by);
      return true;
    }
    if (!(event.key in keys)) return false;
    keys[event.key]();
    return true;
  }
  document.documentElement.classList.add("scripted");
  draw();
  return { key, reset };
}

// A key that is being typed into a field, or belongs to the browser, is not ours.
export function isTyping(event) {
  const field = event.target.closest?.("input:not([type=range]), textarea, select");
  return Boolean(field) || event.ctrlKey || event.altKey || event.metaKey;
}
