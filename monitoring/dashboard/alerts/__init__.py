"""The pages of alerts: what fires and what fired, the rules, when nobody is told, and whom they tell."""
