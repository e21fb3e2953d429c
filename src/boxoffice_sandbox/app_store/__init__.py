"""The stand-in for the App Store: what Apple signs, sends and answers, under `/app-store`."""
