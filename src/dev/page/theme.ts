/** Light, dark, or as the system has it; remembered. */
export type Theme = "system" | "light" | "dark"

const key = "glet-dev/theme"

export const currentTheme = (): Theme => {
  const stored = localStorage.getItem(key)
  return stored === "light" || stored === "dark" ? stored : "system"
}

export const setTheme = (theme: Theme): void => {
  if (theme === "system") localStorage.removeItem(key)
  else localStorage.setItem(key, theme)
  document.documentElement.dataset["theme"] = theme
}

export const startTheme = (): void => {
  document.documentElement.dataset["theme"] = currentTheme()
}
