"""The figures of the experiment: result → figure, by name."""

import plotly.graph_objects as go


def figures(result):
    data = result.data
    high, low = (abs(data["accuracy_ci"].sel(bound=b) - data["accuracy"]).values for b in ("high", "low"))
    error = {"type": "data", "array": high, "arrayminus": low}
    figure = go.Figure(go.Scatter(x=data["k"].values, y=data["accuracy"].values, error_y=error, mode="lines+markers"))
    figure.update_xaxes(title="demonstrations", type="log")
    figure.update_yaxes(title="accuracy (share of queries)", range=[0, 1.02])
    return {"curve": figure}
