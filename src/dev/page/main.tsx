import { render } from "preact"
import { App } from "./components/App.js"
import { Store } from "./store.js"
import "./style.css"
import { startTheme } from "./theme.js"

startTheme()
const wanted = new URLSearchParams(location.search)
const provider = wanted.get("provider")
const store = new Store(
  wanted.get("world") === "replay" ? "replay" : "device", wanted.get("planner") ?? "orion", provider === "webgpu" || provider === "wasm" ? provider : "auto"
)
render(<App store={store} />, document.getElementById("app")!)
