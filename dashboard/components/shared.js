// What every component needs: elements made from text, and the colours of the theme in use.

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = written(String(text));
  return made;
}

// Control characters and marks of direction, written out: they would turn the text around them, or hide.
function written(text) {
  return text.replace(/[^\P{C}\t\n\r\p{Co}\p{Cn}]|[\u2028\u2029]/gu, (char) => {
    const code = char.codePointAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// Marks take the first two colours of the theme's palette (.streamlit/config.toml), so light and dark differ in one place.
function applyMarks(root) {
  const palette = getComputedStyle(root).getPropertyValue("--st-chart-categorical-colors").split(",");
  const [normal, flagged] = palette.length > 1 ? palette : ["#0072B2", "#D55E00"];
  root.style.setProperty("--normal", normal.trim());
  root.style.setProperty("--flagged", flagged.trim());
}

// Letters typed into a field are its own.
function isTyping(event) {
  const node = event.composedPath()[0];
  return node instanceof HTMLElement && (node.isContentEditable
    || node.matches("textarea, select, [role=textbox], input:not([type=checkbox], [type=radio], [type=button])"));
}

function isInDialog(event) {
  return document.querySelector("[role=dialog]") !== null || event.composedPath().some((node) => node instanceof HTMLDialogElement);
}

const whole = (number) => Math.round(number).toLocaleString("en");

// ---- a threshold that is moved: counting at every place of it, and the keys that move it

const DECIMALS = 4; // of stored scores: a finer threshold would change nothing
const COMMIT_AFTER_MS = 250; // of silence on the keyboard

const rounded = (value) => Number(value.toFixed(DECIMALS));

// Index of the first score at or above the value; scores ascend.
function firstAtOrAbove(scores, value) {
  let low = 0, high = scores.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scores[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

// above[i] is the number of lines with scores[i] or more.
function linesAbove(counts) {
  const above = new Array(counts.length + 1).fill(0);
  for (let i = counts.length - 1; i >= 0; i -= 1) above[i] = above[i + 1] + counts[i];
  return above;
}

// Where a key moves the threshold to; null for any other key.
function thresholdByKey(event, value, max) {
  const fine = event.shiftKey ? 0.0001 : 0.001;
  const steps = { ArrowLeft: -fine, ArrowDown: -fine, ArrowRight: fine, ArrowUp: fine, PageDown: -0.01, PageUp: 0.01 };
  const target = { Home: 0, End: max };
  if (event.key in steps) return value + steps[event.key];
  return event.key in target ? target[event.key] : null;
}

// A pen for a canvas of this size in CSS pixels, wiped.
function penOf(canvas, width, height, font) {
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = `12px ${font}`;
  return pen;
}
