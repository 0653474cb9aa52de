// Gives every slider, field and list of an explorer the name that stands beside it (ipywidgets#2650).
const CONTROLS = "[role=slider], input, select, textarea, [contenteditable]";

function nameControls(root) {
  for (const line of root.querySelectorAll(".widget-inline-hbox")) {
    const words = [...line.querySelectorAll(".widget-label, .widget-label-basic")].map(label => label.textContent.replace("\u200b", "").trim());
    const name = words.find(word => word);
    if (!name) continue;
    for (const control of line.querySelectorAll(CONTROLS)) {
      const typed = control.isContentEditable ? ", typed" : "";
      if (control.getAttribute("aria-label") !== name + typed) control.setAttribute("aria-label", name + typed);
      if (control.isContentEditable) control.setAttribute("role", "textbox");
    }
  }
}

export default {
  render({ el }) {
    const observer = new MutationObserver(() => nameControls(root));
    let root = null, frame = requestAnimationFrame(attach);
    function attach() {                                   // el enters the page only after render
      root = el.closest(".singan-explorer");
      if (!root) { frame = requestAnimationFrame(attach); return; }
      observer.observe(root, { childList: true, subtree: true });
      nameControls(root);
    }
    return () => { cancelAnimationFrame(frame); observer.disconnect(); };
  },
};
