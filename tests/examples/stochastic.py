# SPDX-License-Identifier: MIT
"""What stochastic equations learn is what their examples promise, and drawn. stochastic.py NEURAL_SDE LATENT_SDE SDE_GAN"""
import re
import sys
from pathlib import Path

from support import NUMBER, check, finish, study


def wells(neural_sde):
    """The score comes near that of the truth, and so does the density that was not learned by."""
    text = study(neural_sde, 400, 1, labels=["x", "density", "x", "f", "x", "g"], lines=[241]*9,
                 wrong=[["0"], ["many"], ["10", "0"]])
    rows = {row[0]: [float(x) for x in row[1:]] for row in
            re.findall(rf"^(untrained|learned|true) +{NUMBER} +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.M)}
    (before, far, *_), (score, near, drift, diffusion), (truth, *_) = rows["untrained"], rows["learned"], rows["true"]
    check(0.95*truth < score < truth + 0.15*(before - truth), f"neural_sde: scores {before}, {score}, the truth's {truth}")
    check(far > 0.4 and near < 0.25*far, f"neural_sde: densities are {far}, then {near} off")
    check(drift < 0.8 and diffusion < 0.2, f"neural_sde: drift {drift}, diffusion {diffusion} off")


def sequences(latent_sde):
    """The posterior explains what was observed better than the prior, and is nearer to the truth than the observations."""
    text = study(latent_sde, 600, 1, labels=["time", "x", "time", "z", "x", "z", "x", "z"], lines=[31]*34 + [2001]*2,
                 wrong=[["0"], ["many"], ["10", "0"]])
    before, prior, bound = (float(x) for x in re.findall(rf"^(?:ELBO before|   of the (?:prior|posterior)).* {NUMBER}$", text, re.M)[:3])
    noise = float(re.search(rf"^observations off .* {NUMBER}$", text, re.M)[1])
    off = float(re.search(rf"^   means of the posterior +{NUMBER}$", text, re.M)[1])
    drift = float(re.search(rf"^drift of the prior off .* {NUMBER}$", text, re.M)[1])
    most = 0.884 # mean log density of a noise of 0.1: nothing that is true explains more
    check(before < prior < bound - 1 and -1 < bound < most, f"latent_sde: {before} before, prior {prior}, posterior {bound}")
    check(0.095 < noise < 0.105 and off < 0.97*noise, f"latent_sde: observations are {noise}, means {off} off")
    check(drift < 0.4, f"latent_sde: the prior's drift is {drift} off")


def pairs(sde_gan):
    """Moments at all times that it was never told."""
    text = study(sde_gan, 1000, 1, labels=["time", "y"]*3, lines=[17]*72, wrong=[["1"], ["many"], ["10", "0"]])
    rows = {row[0]: [float(x) for x in row[1:]] for row in
            re.findall(rf"^(true|untrained|learned) .* {NUMBER} +{NUMBER} +{NUMBER}$", text, re.M)}
    (_, mean, deviation), (correlation, mean_off, deviation_off) = rows["untrained"], rows["learned"]
    check(mean > 0.2 and deviation > 0.6, f"sde_gan: untrained: {mean}, {deviation} off")
    check(mean_off < 0.25 and deviation_off < 0.25, f"sde_gan: means are {mean_off}, deviations {deviation_off} off")
    check(0 < correlation < 0.8, f"sde_gan: values a unit of time apart have a correlation of {correlation}")


for example, program in zip((wells, sequences, pairs), sys.argv[1:], strict=True):
    example(Path(program).resolve())
finish()
