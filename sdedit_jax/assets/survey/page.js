"use strict";

const FORMAT = "survey answers 1";
const LARGEST_FILE = 1_000_000;
const PAUSE = 300; // milliseconds in which a second tap on the last pair is no answer to the next
const PARTS = [
  {
    question: "Which picture looks more realistic?",
    lead: "Imagine that both were photographs. Choose the picture that you would sooner believe to be real.",
  },
  {
    question: "Which is the better result for this input?",
    lead:
      "Now you also see the input that both pictures were made from, such as a rough painting or a pasted picture. " +
      "Choose the result that you would rather have: it should look realistic and show what the input shows.",
  },
];

const find = (id) => document.getElementById(id);
const survey = JSON.parse(find("survey").textContent);
const total = survey.trials.length;
const storageKey = `survey ${survey.fingerprint}`;
const introduced = new Set();
let shownAt = 0;
let record = stored() ?? blank();

function blank() {
  const rater = new URLSearchParams(location.search).get("rater")?.slice(0, 64) ?? "";
  return { format: FORMAT, fingerprint: survey.fingerprint, rater, started: null, finished: null, answers: [] };
}

function isOurs(other) {
  return (
    other?.format === FORMAT &&
    other.fingerprint === survey.fingerprint &&
    typeof other.rater === "string" &&
    Array.isArray(other.answers) &&
    other.answers.length <= total &&
    other.answers.every((answer) => ["left", "right"].includes(answer?.choice) && Number.isInteger(answer.ms))
  );
}

function stored() {
  try {
    const other = JSON.parse(localStorage.getItem(storageKey));
    return isOurs(other) ? other : null;
  } catch {
    return null;
  }
}

function store() {
  try {
    localStorage.setItem(storageKey, JSON.stringify(record));
    say("");
  } catch {
    say("This browser forgets your answers when the page is closed. “Save for later” keeps them in a file.");
  }
}

function say(text) {
  if (find("message").textContent !== text) find("message").textContent = text;
}

function show(screen) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== screen;
  find("status").hidden = screen === "intro";
  find("undo").disabled = record.answers.length === 0;
  find("pause").hidden = screen === "done";
  find("progress").max = total;
  find("progress").value = record.answers.length;
  find("counted").textContent = `${record.answers.length} of ${total}`;
  const changed = document.body.dataset.screen !== screen;
  document.body.dataset.screen = screen;
  if (changed) document.querySelector(`#${screen} h1`).focus();
}

function showIntro() {
  document.querySelector("#intro .count").textContent = total;
  find("rater").value = record.rater;
  const answered = record.answers.length;
  find("rater").readOnly = answered > 0; // the answers are those of this rater
  find("anew").hidden = answered === 0;
  document.querySelector("#begin button").textContent = answered
    ? `I agree, continue after ${answered} of ${total}`
    : "I agree, begin";
  show("intro");
}

function next() {
  if (record.answers.length === total) return showDone();
  const part = survey.trials[record.answers.length].question;
  if (introduced.has(part)) showTrial();
  else showPart(part);
}

function showPart(part) {
  document.querySelector("#part .step").textContent = `Part ${part + 1} of ${PARTS.length}`;
  document.querySelector("#part h1").textContent = PARTS[part].question;
  document.querySelector("#part .lead").textContent = PARTS[part].lead;
  introduced.add(part);
  show("part");
  find("go").focus();
}

async function showTrial() {
  const number = record.answers.length;
  const trial = survey.trials[number];
  const sides = { guide: trial.guide, left: trial.left, right: trial.right };
  document.body.dataset.ready = "";
  find("pictures").classList.remove("shown");
  find("pictures").classList.toggle("guided", trial.guide !== null);
  find("guide").hidden = trial.guide === null;
  find("question").textContent = PARTS[trial.question].question;
  show("trial");
  const images = [];
  for (const [side, picture] of Object.entries(sides)) {
    if (picture === null) continue;
    const image = find(side).querySelector("img");
    image.src = `data:image/png;base64,${survey.pictures[picture]}`;
    images.push(image.decode().catch(() => {}));
  }
  await Promise.all(images);
  find("pictures").classList.add("shown");
  shownAt = performance.now();
  setTimeout(() => {
    if (document.body.dataset.screen === "trial" && record.answers.length === number) {
      document.body.dataset.ready = String(number);
    }
  }, PAUSE);
}

function choose(side) {
  if (document.body.dataset.screen !== "trial" || document.body.dataset.ready !== String(record.answers.length)) return;
  record.answers.push({ choice: side, ms: Math.round(performance.now() - shownAt) });
  if (record.answers.length === total) record.finished = new Date().toISOString();
  store();
  next();
}

function undo() {
  if (!["trial", "part", "done"].includes(document.body.dataset.screen) || record.answers.length === 0) return;
  record.answers.pop();
  record.finished = null;
  store();
  introduced.add(survey.trials[record.answers.length].question);
  showTrial();
}

function showDone() {
  find("text").value = JSON.stringify(record);
  show("done");
  find("save").focus();
}

function download() {
  const link = document.createElement("a");
  const name = record.rater.replace(/[^A-Za-z0-9]+/g, "_").slice(0, 32);
  link.href = URL.createObjectURL(new Blob([JSON.stringify(record)], { type: "application/json" }));
  link.download = `answers_${name}_${survey.fingerprint}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function load(file) {
  try {
    const other = file.size <= LARGEST_FILE ? JSON.parse(await file.text()) : null;
    if (!isOurs(other)) throw new Error("another survey");
    record = other;
    store();
    showIntro();
  } catch {
    say("That file holds no answers to this page.");
  }
  find("file").value = ""; // so that the same file, mended, can be chosen again
}

function press(event) {
  if (event.repeat || event.altKey || event.ctrlKey || event.metaKey) return;
  const actions = { ArrowLeft: () => choose("left"), ArrowRight: () => choose("right"), Backspace: undo };
  const typing = ["INPUT", "TEXTAREA"].includes(event.target.tagName);
  if (typing || !(event.key in actions)) return;
  event.preventDefault();
  actions[event.key]();
}

find("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  record.rater = find("rater").value.trim();
  if (!record.rater) return find("rater").focus();
  record.started ??= new Date().toISOString();
  store();
  next();
});
find("anew").addEventListener("click", () => {
  record = blank();
  introduced.clear();
  store();
  showIntro();
  find("rater").focus();
});
find("go").addEventListener("click", next);
find("left").addEventListener("click", () => choose("left"));
find("right").addEventListener("click", () => choose("right"));
find("undo").addEventListener("click", undo);
find("pause").addEventListener("click", download);
find("save").addEventListener("click", download);
find("text").addEventListener("focus", () => find("text").select());
find("file").addEventListener("change", () => load(find("file").files[0]));
document.addEventListener("keydown", press);
showIntro();
