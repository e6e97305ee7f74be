// What every component needs: elements made from text, and the colours of the theme in use.

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = String(text);
  return made;
}

// Marks take the first two colours of the theme's palette (.streamlit/config.toml), so light and dark differ in one place.
function applyMarks(root) {
  const palette = getComputedStyle(root).getPropertyValue("--st-chart-categorical-colors").split(",");
  const [normal, flagged] = palette.length > 1 ? palette : ["#0072B2", "#D55E00"];
  root.style.setProperty("--normal", normal.trim());
  root.style.setProperty("--flagged", flagged.trim());
}

const whole = (number) => Math.round(number).toLocaleString("en");
