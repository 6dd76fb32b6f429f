import { isTyping, stage } from "./stage.js";

const view = stage();
document.addEventListener("keydown", (event) => {
  if (!isTyping(event) && view.key(event)) event.preventDefault();
});
