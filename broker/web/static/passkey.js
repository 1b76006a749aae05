// WebAuthn level 3: asks the browser for a passkey, or for a new one, and sends what it says with the page's own form.
"use strict";

// What to ask for: fetched when it is needed, so that the challenge is fresh.
async function asked(form) {
  const answer = await fetch(form.dataset.options, {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    headers: { Accept: "application/json" },
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("button");
  const say = (what) => {
    for (const line of form.querySelectorAll("[data-say]")) line.hidden = line.dataset.say !== what;
  };
  const creating = form.dataset.passkey === "create";
  const read = window.PublicKeyCredential
    && (creating ? PublicKeyCredential.parseCreationOptionsFromJSON : PublicKeyCredential.parseRequestOptionsFromJSON);
  if (!read) {
    say("unable");
    continue;
  }
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    say("");
    try {
      const publicKey = read.call(PublicKeyCredential, await asked(form));
      const credential = await (creating
        ? navigator.credentials.create({ publicKey })
        : navigator.credentials.get({ publicKey }));
      form.elements.namedItem("credential").value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch (error) {
      say(error.name === "NotAllowedError" ? "stopped" : "failed");
      button.disabled = false;
    }
  });
}
