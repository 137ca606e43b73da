import { useEffect, useState } from "preact/hooks"
import type { Store, View } from "../store.js"

/** The page's view; the component is drawn again when it changes. */
export const useView = (store: Store): View => {
  const [view, setView] = useState(store.view)
  useEffect(() => {
    setView(store.view)
    return store.subscribe(() => setView(store.view))
  }, [store])
  return view
}

/** Whether a media query holds now. */
export const useMedia = (query: string): boolean => {
  const [matches, setMatches] = useState(() => matchMedia(query).matches)
  useEffect(() => {
    const list = matchMedia(query)
    const onChange = (): void => setMatches(list.matches)
    list.addEventListener("change", onChange)
    return () => list.removeEventListener("change", onChange)
  }, [query])
  return matches
}
