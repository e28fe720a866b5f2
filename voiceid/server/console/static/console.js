// Only the microphone, live events and playing need this script.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/* Forms with their answer in the same page: the server sends the part that changes. */

function answer(form, button, scroll) {
  const place = document.getElementById(form.dataset.fragment);
  const buttons = all("button", form).filter((button) => !("record" in button.dataset));
  const body = new FormData(form);
  if (button?.name) body.append(button.name, button.value);
  place.setAttribute("aria-busy", "true");
  for (const each of buttons) each.disabled = true;
  return fetch(form.action, { method: "POST", body, headers: { "X-Fragment": "1" } })
    .then(async (response) => {
      if (response.redirected) return void location.reload(); // the session is over
      place.innerHTML = await response.text(); // made by a template that escapes
      follow(place, form);
      const said = form.querySelector("[data-said]");
      if (said && "check" in form.dataset) said.textContent = place.querySelector(".notice p")?.textContent.trim() ?? "";
      form.dispatchEvent(new CustomEvent("answered", { detail: place }));
      if (scroll) place.scrollIntoView({ block: "nearest" });
    })
    .catch(() => {
      const said = document.createElement("p");
      said.className = "notice bad";
      said.textContent = "The service does not answer. Try again later.";
      place.replaceChildren(said);
    })
    .finally(() => {
      place.removeAttribute("aria-busy");
      for (const each of buttons) each.disabled = false;
    });
}

for (const form of all("form[data-fragment]"))
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer(form, event.submitter, true);
  });

/* A job: its progress, loaded each second until it ends. */

async function follow(place, form) {
  const job = place.querySelector("[data-job]");
  while (job && place.contains(job)) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const answered = await fetch(job.dataset.job, { headers: { "X-Fragment": "1" } }).catch(() => null);
    if (!place.contains(job)) return; // another job was begun
    if (!answered || answered.status >= 500) continue; // the service restarts
    if (answered.redirected) return void location.reload(); // the session is over
    const fragment = document.createElement("template");
    fragment.innerHTML = await answered.text();
    if (fragment.content.querySelector("[data-job]")) {
      for (const part of ["[data-progress]", "progress"]) // the rest of the page keeps its focus
        job.querySelector(part).replaceWith(fragment.content.querySelector(part));
      continue;
    }
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(fragment.content);
    if (hadFocus) place.querySelector("[tabindex]")?.focus();
  }
  if (!place.querySelector("[data-job]")) listenTo(place, form?.elements.namedItem("audio")?.files?.[0]);
}

/* Recordings: chosen files and takes of the microphone, in one list. */

class Recordings {
  constructor(root) {
    this.input = root.querySelector("input[type=file]");
    this.form = root.closest("form");
    this.list = root.querySelector("[data-takes]");
    this.many = "many" in root.dataset;
    this.files = [];
    this.takes = 0;
    this.input.addEventListener("change", () => {
      this.files = this.many ? [...this.files, ...this.input.files] : [...this.input.files];
      this.show();
    });
    this.form.addEventListener("answered", (event) => {
      if (!event.detail.querySelector("[data-done]")) return;
      this.files = [];
      this.show(false);
    });
  }

  add(blob) {
    this.takes += 1;
    const kind = blob.type.includes("mp4") ? "mp4" : blob.type.includes("ogg") ? "ogg" : "webm";
    const file = new File([blob], `take-${this.takes}.${kind}`, { type: blob.type });
    this.files = this.many ? [...this.files, file] : [file];
    this.show();
  }

  show(changed = true) {
    const transfer = new DataTransfer();
    for (const file of this.files) transfer.items.add(file);
    this.input.files = transfer.files;
    for (const player of all("audio", this.list)) URL.revokeObjectURL(player.src);
    this.list.replaceChildren(...this.files.map((file, at) => this.row(file, at)));
    if (changed && "check" in this.form.dataset && this.files.length && this.form.checkValidity())
      answer(this.form, { name: "check", value: "true" });
  }

  row(file, at) {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.textContent = file.name;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "quiet";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.addEventListener("click", () => {
      this.files.splice(at, 1);
      this.show();
      this.input.focus();
    });
    const player = document.createElement("audio");
    player.controls = true;
    player.src = URL.createObjectURL(file);
    player.setAttribute("aria-label", file.name);
    row.append(name, remove, player);
    return row;
  }
}

/* The microphone, without the browser's voice processing. */

class Microphone {
  constructor(root, recordings) {
    this.root = root;
    this.recordings = recordings;
    this.button = root.querySelector("[data-record]");
    this.label = root.querySelector("[data-label]");
    this.meter = root.querySelector("meter");
    this.clock = root.querySelector("[data-clock]");
    this.said = root.querySelector("[data-said]");
    root.hidden = false;
    if (!navigator.mediaDevices || !window.MediaRecorder) {
      this.button.disabled = true;
      this.say("The microphone only works on https pages and on pages of this computer.");
      return;
    }
    this.button.addEventListener("click", () => (this.recorder ? this.stop() : this.start()));
  }

  say(text) {
    this.said.textContent = text;
  }

  async start() {
    const name = this.recordings.form.elements.namedItem("name");
    if (name && !name.reportValidity()) return;
    this.button.disabled = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 },
      });
    } catch (error) {
      this.say(error.name === "NotFoundError" ? "There is no microphone."
        : "The browser blocks the microphone: allow it for this page.");
      return;
    } finally {
      this.button.disabled = false;
    }
    const parts = [];
    this.recorder = new MediaRecorder(this.stream, { audioBitsPerSecond: 96000 });
    this.recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    this.recorder.addEventListener("stop", () => this.done(new Blob(parts, { type: this.recorder.mimeType })));
    this.recorder.start();
    this.since = performance.now();
    this.loudest = -100;
    this.root.toggleAttribute("data-recording", true);
    const atOnce = "atOnce" in this.recordings.form.dataset;
    this.label.textContent = atOnce ? "Stop and ask" : "Stop";
    this.say("Speak now.");
    this.watch();
  }

  watch() {
    this.context = new AudioContext();
    const analyser = this.context.createAnalyser();
    this.context.createMediaStreamSource(this.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const look = () => {
      if (!this.recorder) return;
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
      const level = Math.max(-100, 10 * Math.log10(power));
      this.meter.value = Math.max(level, this.meter.value - 0.5); // it falls slowly, so that it can be read
      this.loudest = Math.max(this.loudest, level);
      const seconds = (performance.now() - this.since) / 1000;
      this.clock.textContent = `${seconds.toFixed(1)} s`;
      if (seconds > 2 && this.loudest < -55) this.say("The level is very low: is the microphone on?");
      requestAnimationFrame(look);
    };
    look();
  }

  stop() {
    this.recorder.stop();
  }

  done(blob) {
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close();
    this.recorder = null;
    this.meter.value = -60;
    this.root.toggleAttribute("data-recording", false);
    this.label.textContent = "Record";
    this.say("");
    this.recordings.add(blob);
    if ("atOnce" in this.recordings.form.dataset) this.recordings.form.requestSubmit();
  }
}

for (const root of all("[data-recordings]")) {
  const recordings = new Recordings(root);
  for (const place of all("[data-microphone]", root)) new Microphone(place, recordings);
}

/* A recording that is played beside its turns, which are highlighted. */

function listenTo(place, file) {
  const room = place.querySelector("[data-player]");
  if (!room) return;
  const again = room.querySelector("[data-again]");
  if (!file) {
    again.hidden = false;
    again.querySelector("input").addEventListener("change", ({ target }) => listenTo(place, target.files[0]));
    return;
  }
  const player = document.createElement("audio");
  player.controls = true;
  player.src = URL.createObjectURL(file);
  player.setAttribute("aria-label", file.name);
  again.replaceWith(player);
  const turns = all("[data-start]", place);
  const light = () => {
    for (const turn of turns)
      turn.classList.toggle("lit",
        turn.dataset.start <= player.currentTime && player.currentTime < Number(turn.dataset.end));
  };
  player.addEventListener("timeupdate", light);
  for (const list of all(".lanes, .turns", place))
    list.addEventListener("click", ({ target }) => {
      const start = target.closest("[data-seek], [data-start]")?.dataset;
      if (start === undefined) return;
      player.currentTime = Number(start.seek ?? start.start);
      player.play();
    });
}

for (const place of all("#result")) follow(place);

/* Decisions as they are made. */

const MOST_ROWS = 200;

function decisionRow({ time, decision }) {
  const number = (value) => (value == null ? "–" : value.toFixed(3).replace("-", "−"));
  const cells = [
    [(time ? new Date(time) : new Date()).toLocaleTimeString()], [decision.outcome], [decision.speaker?.name ?? "–"],
    [number(decision.score), "number"], [number(decision.threshold), "number"],
    [decision.task, "wide"], [decision.detail ?? ""],
  ].map(([text, kind = ""]) => {
    const cell = document.createElement("td");
    cell.className = kind;
    cell.textContent = text;
    return cell;
  });
  const chip = document.createElement("span");
  chip.className = `chip ${{ accepted: "good", rejected: "bad" }[decision.outcome] ?? "warn"}`;
  chip.textContent = decision.outcome;
  cells[1].replaceChildren(chip);
  const row = document.createElement("tr");
  row.append(...cells);
  return row;
}

for (const said of all("[data-events]")) {
  const rows = document.querySelector("[data-rows]");
  const source = new EventSource(said.dataset.events);
  said.textContent = "Connecting.";
  const show = ({ data }) => {
    const facts = JSON.parse(data);
    rows.prepend(decisionRow(facts.decision ? facts : { decision: facts }));
    while (rows.rows.length > MOST_ROWS) rows.lastElementChild.remove();
  };
  source.addEventListener("open", () => (said.textContent = "Decisions are shown as they are made, newest first."));
  source.addEventListener("message", show);
  source.addEventListener("decision", show);
  source.addEventListener("error", () => {
    said.textContent = source.readyState === EventSource.CLOSED
      ? "This service sends no live events." : "The connection is lost; reconnecting.";
  });
}

for (const button of all("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}
