const SLICE_BYTES = 16 * 1024 * 1024;
const WAITS_MS = [500, 1000, 2000, 4000, 8000]; // before each new try after a broken connection

function bytesText(count) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return `${count.toFixed(unit && count < 100 ? 1 : 0)} ${units[unit]}`;
}

function timeText(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

// Answers {status, body}; status 0 is a broken connection.
function sendSlice(url, slice, job, onProgress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch reports no upload progress
    job.request = request;
    request.open("PUT", url);
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* not ours: the status alone is shown */ }
      resolve({ status: request.status, body });
    };
    request.onerror = () => resolve({ status: 0, body: {} });
    request.onabort = () => resolve({ status: -1, body: {} });
    request.send(slice);
  });
}

async function receivedSoFar(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error((await answer.json()).error);
  return (await answer.json()).received;
}

// Sends the whole file, going on after broken connections. Returns the saved name, or null when cancelled.
async function sendFile(file, token, job, show) {
  const url = `upload/${token}`;
  let offset = 0;
  let tries = 0;
  while (!job.cancelled) {
    const end = Math.min(file.size, offset + SLICE_BYTES);
    const query = new URLSearchParams({ name: file.name, size: file.size, offset });
    const { status, body } = await sendSlice(`${url}?${query}`, file.slice(offset, end), job, (n) => show(offset + n));
    if (job.cancelled) return null;
    if (status === 200 && body.name) return body.name;
    if (status === 200 || (status === 409 && "received" in body)) {
      offset = body.received;
      tries = 0;
    } else if (status === 0 && tries < WAITS_MS.length) {
      show(offset, "Connection lost, trying again …");
      await new Promise((resolve) => setTimeout(resolve, WAITS_MS[tries]));
      tries += 1;
      try { offset = await receivedSoFar(url); } catch (problem) { if (problem.message && !(problem instanceof TypeError)) throw problem; }
    } else if (status === 0) {
      throw new Error("The server cannot be reached. Check that the workbench is running, then choose the file again.");
    } else {
      throw new Error(body.error || `The server refused the file (HTTP ${status}). Reload the page and try again.`);
    }
  }
  return null;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".upload");
  root.current = { data, setTriggerValue };
  if (root.ready) return;
  root.ready = true;
  applyMarks(root);
  root.querySelector("input").setAttribute("aria-label", `Choose a ${data.what} file`);
  root.querySelector(".what").textContent = `Drop a ${data.what} file here`;
  if (data.hint) root.querySelector(".taken").textContent = data.hint;

  const find = (selector) => root.querySelector(selector);
  const [drop, input, sending, bar, hint, problem] =
    [".drop", "input", ".sending", ".bar", ".sending .hint", ".problem"].map(find);

  async function start(file) {
    const { data: { token, max_bytes: maxBytes } } = root.current;
    problem.hidden = true;
    if (file.size > maxBytes) {
      problem.textContent = `${file.name} has ${bytesText(file.size)}; the limit is ${bytesText(maxBytes)}. Split the file.`;
      problem.hidden = false;
      return;
    }
    const job = { cancelled: false, request: null };
    const startedAt = performance.now();
    const show = (sent, note) => {
      const percent = file.size ? (100 * sent) / file.size : 0;
      const rate = (1000 * sent) / Math.max(1, performance.now() - startedAt);
      bar.firstElementChild.style.width = `${percent}%`;
      bar.setAttribute("aria-valuenow", Math.round(percent));
      hint.textContent = note || `${bytesText(sent)} of ${bytesText(file.size)} · ${bytesText(rate)}/s` +
        (rate > 0 && sent < file.size ? ` · ${timeText((file.size - sent) / rate)} left` : "");
    };
    find(".name").textContent = file.name;
    find(".cancel").onclick = () => { job.cancelled = true; job.request?.abort(); };
    drop.hidden = true;
    sending.hidden = false;
    show(0);
    const warn = (event) => event.preventDefault(); // leaving the page would stop the upload
    addEventListener("beforeunload", warn);
    try {
      const name = await sendFile(file, token, job, show);
      if (name) root.current.setTriggerValue("uploaded", name);
      else root.current.setTriggerValue("renew", true);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      root.current.setTriggerValue("renew", true);
    } finally {
      removeEventListener("beforeunload", warn);
      sending.hidden = true;
      drop.hidden = false;
      input.value = "";
    }
  }

  input.onchange = () => { if (input.files.length) start(input.files[0]); };
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) start(event.dataTransfer.files[0]);
  };
}
