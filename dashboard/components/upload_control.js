const SLICE_BYTES = 16 * 1024 * 1024;
const WAITS_MS = [500, 1000, 2000, 4000, 8000]; // before each new try after a broken connection
const STALLED_MS = 30_000; // without a byte taken, a connection counts as broken
const KEPT = "workbench.uploads"; // in the browser's own storage: tokens of files that are not whole yet

function bytesText(count) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return `${count.toFixed(unit && count < 100 ? 1 : 0)} ${units[unit]}`;
}

function timeText(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

const urlOf = (token) => `upload/${token}`;

// ---- files that are not whole yet: what a reload of the page would forget

const identityOf = (file) => `${file.name}|${file.size}|${file.lastModified}`;

function unfinished() {
  try { return JSON.parse(localStorage.getItem(KEPT)) ?? {}; } catch { return {}; }
}

function remember(identity, entry) {
  const all = unfinished();
  if (entry) all[identity] = entry; else delete all[identity];
  try { localStorage.setItem(KEPT, JSON.stringify(all)); } catch { /* full or forbidden: a reload begins anew */ }
}

// What the server has of a token: {received, size}; null where it knows it no more.
async function known(token) {
  const answer = await fetch(urlOf(token));
  return answer.ok ? answer.json() : null;
}

// ---- sending

class Lost extends Error {} // the server cannot be reached: what it has stays there

// Answers {status, body}; status 0 is a broken connection.
function sendSlice(url, slice, job, onProgress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch reports no upload progress
    job.request = request;
    let watch;
    const heard = () => { clearTimeout(watch); watch = setTimeout(() => request.abort(), STALLED_MS); };
    const ended = (status, body = {}) => { clearTimeout(watch); resolve({ status, body }); };
    request.open("PUT", url);
    request.upload.onprogress = (event) => { heard(); onProgress(event.loaded); };
    request.upload.onload = () => clearTimeout(watch); // all is sent; the server may take its time to store it
    request.onload = () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* not ours: the status alone is shown */ }
      ended(request.status, body);
    };
    request.onerror = request.onabort = () => ended(0);
    heard();
    request.send(slice);
  });
}

// Sends the whole file from an offset, going on after broken connections. Returns the saved name; null when cancelled.
async function sendFile(file, token, offset, job, show) {
  let tries = 0;
  while (!job.cancelled) {
    const end = Math.min(file.size, offset + SLICE_BYTES);
    const query = new URLSearchParams({ name: file.name, size: file.size, offset });
    const from = offset;
    const { status, body } = await sendSlice(`${urlOf(token)}?${query}`, file.slice(from, end), job, (n) => show(from + n));
    if (job.cancelled) return null;
    if (status === 200 && body.name) return body.name;
    if (status === 200 || (status === 409 && "received" in body)) {
      offset = body.received;
      tries = 0;
    } else if ((status === 0 || body.busy) && tries < WAITS_MS.length) {
      show(offset, "Connection lost, trying again …");
      await new Promise((resolve) => setTimeout(resolve, WAITS_MS[tries]));
      tries += 1;
      try { offset = (await known(token))?.received ?? offset; } catch { /* not back yet */ }
    } else if (status === 0) {
      throw new Lost("The server cannot be reached. Check that the workbench is running, then choose the file again: it goes on where it stopped.");
    } else {
      throw new Error(body.error || `The server refused the file (HTTP ${status}). Reload the page and try again.`);
    }
  }
  return null;
}

class UploadView {
  constructor(root) {
    this.root = root;
    this.queue = [];
    const find = (selector) => root.querySelector(selector);
    [this.drop, this.input, this.sending, this.bar, this.hint, this.problem, this.left] =
      [".drop", "input", ".sending", ".bar", ".sending .hint", ".problem", ".unfinished"].map(find);
  }

  update(data, tell) {
    this.data = data;
    this.tell = tell;
    if (this.serial === undefined) {
      this.serial = data.answered;
      this.describe();
      this.listen();
      this.showUnfinished();
    }
    this.next();
  }

  describe() {
    const { what, hint, several } = this.data;
    applyMarks(this.root);
    this.input.multiple = several;
    this.input.setAttribute("aria-label", `Choose a ${what} file`);
    this.root.querySelector(".what").textContent = several ? `Drop ${what} files here` : `Drop a ${what} file here`;
    this.root.querySelector(".link").textContent = several ? "choose files" : "choose one";
    if (hint) this.root.querySelector(".taken").textContent = hint;
  }

  listen() {
    const { drop, input } = this;
    input.onchange = () => { this.take(input.files); input.value = ""; };
    drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
    drop.ondragleave = () => drop.classList.remove("over");
    drop.ondrop = (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      this.take(event.dataTransfer.files);
    };
  }

  take(files) {
    const chosen = [...files].slice(0, this.data.several ? files.length : 1);
    if (!chosen.length) return;
    this.problem.hidden = true;
    this.problem.textContent = "";
    this.queue = chosen.map((file, i) => ({ file, follows: i > 0 }));
    this.next();
  }

  // The server must have heard of the last file, and given a token for this one.
  next() {
    if (this.busy || !this.queue.length || this.serial !== this.data.answered) return;
    const { file, follows } = this.queue.shift();
    this.busy = true;
    this.send(file, follows).finally(() => { this.busy = false; this.next(); });
  }

  end(told) {
    this.serial += 1;
    this.tell({ serial: this.serial, ...told });
  }

  fail(text) {
    this.problem.append(element("div", null, text));
    this.problem.hidden = false;
  }

  async send(file, follows) {
    const { token: fresh, max_bytes: maxBytes } = this.data;
    if (file.size > maxBytes) {
      this.fail(`${file.name} has ${bytesText(file.size)}; the limit is ${bytesText(maxBytes)}. Split the file.`);
      return;
    }
    const job = { cancelled: false, request: null };
    const identity = identityOf(file);
    this.root.querySelector(".sending .name").textContent = file.name;
    this.root.querySelector(".cancel").onclick = () => { job.cancelled = true; job.request?.abort(); };
    this.drop.hidden = this.left.hidden = true;
    this.sending.hidden = false;
    const warn = (event) => event.preventDefault(); // leaving the page would stop the upload
    addEventListener("beforeunload", warn);
    try {
      const earlier = unfinished()[identity]?.token;
      const there = earlier ? await known(earlier).catch(() => null) : null;
      const token = there ? earlier : fresh;
      remember(identity, { token, name: file.name, size: file.size, what: this.data.what });
      const offset = there?.received ?? 0;
      const startedAt = performance.now();
      const show = (sent, note) => this.progress(file, sent, (1000 * (sent - offset)) / Math.max(1, performance.now() - startedAt), note);
      show(offset);
      const name = await sendFile(file, token, offset, job, show);
      remember(identity, null);
      if (job.cancelled && token !== fresh) await fetch(urlOf(token), { method: "DELETE" });
      this.end(name ? { name, follows } : {});
    } catch (error) {
      this.fail(error.message);
      if (!(error instanceof Lost)) remember(identity, null);
      this.end({ gone_on: error instanceof Lost });
    } finally {
      removeEventListener("beforeunload", warn);
      this.sending.hidden = true;
      this.drop.hidden = this.left.hidden = false;
      this.showUnfinished();
    }
  }

  progress(file, sent, rate, note) {
    const percent = file.size ? (100 * sent) / file.size : 0;
    this.bar.firstElementChild.style.width = `${percent}%`;
    this.bar.setAttribute("aria-valuenow", Math.round(percent));
    this.hint.textContent = note || `${bytesText(sent)} of ${bytesText(file.size)} · ${bytesText(rate)}/s` +
      (rate > 0 && sent < file.size ? ` · ${timeText((file.size - sent) / rate)} left` : "") +
      (this.queue.length ? ` · ${this.queue.length} more to come` : "");
  }

  // Files that stopped on the way: the browser may not open them by itself, so they are to be chosen again.
  async showUnfinished() {
    const rows = [];
    for (const [identity, { token, name, size, what }] of Object.entries(unfinished())) {
      if (what !== this.data.what) continue;
      let there = null;
      try { there = await known(token); } catch { continue; }
      if (!there) { remember(identity, null); continue; }
      const row = element("div", "row");
      const discard = element("button", null, "Discard");
      discard.type = "button";
      discard.onclick = async () => {
        remember(identity, null);
        row.remove();
        await fetch(urlOf(token), { method: "DELETE" });
      };
      const percent = Math.floor((100 * there.received) / size);
      row.append(element("span", "name", `${name} stopped at ${percent}% of ${bytesText(size)}. Choose it again to go on.`), discard);
      rows.push(row);
    }
    this.left.replaceChildren(...rows);
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".upload");
  root.view ??= new UploadView(root);
  root.view.update(data, (told) => setTriggerValue("ended", told));
}
