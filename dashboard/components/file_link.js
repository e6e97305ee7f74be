const started = new Set(); // a page is drawn many times; a download starts once

export default function (component) {
  const { data, parentElement } = component;
  const link = parentElement.querySelector("a");
  link.href = data.url;
  link.download = data.name;
  link.textContent = data.name;
  parentElement.querySelector(".hint").textContent = data.hint;
  if (started.has(data.url)) return;
  started.add(data.url);
  link.click();
}
