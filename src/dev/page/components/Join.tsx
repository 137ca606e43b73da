import { useState } from "preact/hooks"
import type { Store, View } from "../store.js"
import { plural } from "../words.js"

const nameKey = "glet-dev/node"

/** The same name at every visit, so that the server remembers what it measured. */
const nodeName = (): string => {
  const stored = localStorage.getItem(nameKey)
  if (stored !== null && /^[a-z0-9][a-z0-9-]{0,31}$/.test(stored)) return stored
  const name = `page-${Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`
  localStorage.setItem(nameKey, name)
  return name
}

/** Lends this device to a server. */
export const Join = ({ store, view }: { readonly store: Store; readonly view: View }) => {
  const [url, setUrl] = useState("http://127.0.0.1:8000")
  const [token, setToken] = useState("")
  const edge = view.state?.edge
  if (view.state?.canJoin !== true || edge === undefined) return null
  const isOut = edge.state === "joining" || edge.state === "joined"
  return (
    <section class="join" aria-labelledby="join-title">
      <div class="head">
        <h2 id="join-title">Lend this device</h2>
        <p class="reason">to a server started with <code>glet serve --edge-token TOKEN --edge MODEL</code></p>
      </div>
      <form onSubmit={(event) => {
        event.preventDefault()
        store.send(isOut ? { kind: "leave" } : { kind: "join", url, token, name: nodeName() })
      }}>
        <label>Server <input type="text" inputMode="url" required value={url} disabled={isOut} onInput={(event) => setUrl(event.currentTarget.value)} /></label>
        <label>Token <input type="password" autocomplete="off" required value={token} disabled={isOut} onInput={(event) => setToken(event.currentTarget.value)} /></label>
        <button type="submit" class={isOut ? "" : "primary"}>{isOut ? "Take it back" : "Join"}</button>
      </form>
      <p role="status" class={edge.state === "failed" ? "bad" : "detail"}>
        {edge.state === "joined"
          ? `Joined as ${nodeName()}: ${plural(edge.glets, "glet")} here, ${plural(edge.batches, "batch", "batches")} served`
          : edge.state === "failed" ? `Not joined: ${edge.detail}` : edge.state === "joining" ? `Joining… ${edge.detail}` : "The server measures it, plans glets on it, and gives it batches. Closing the tab takes it back; no request is lost."}
      </p>
    </section>
  )
}
