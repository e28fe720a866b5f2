"""A back end learned from a site's own labelled recordings.  Pure: arrays in, arrays out.

Embeddings of one site share what its rooms, lines and microphones do to speech: a mean that
is no voice's, and directions in which the recordings of one voice differ.  `fit` takes both
out; `choose` says by cross-validation over speakers whether that helps speakers whom it has
not seen, and by how much.

The mean is that of the speakers' means, moved towards zero by as much as its own uncertainty
says (James and Stein, Estimation with quadratic loss, 1961, positive part): the mean of ten
speakers is in part these ten speakers.  Within-class covariance normalisation multiplies by
the inverse square root of the mean covariance of a speaker's vectors (Hatch, Kajarekar and
Stolcke, Within-class covariance normalization for SVM-based speaker recognition, Interspeech
2006), shrunk: ``(1 - s) W + s tr(W) / dim I``.  Every speaker weighs the same in both.

`transforms` fits and applies them, `trials` and `choice` judge them, `stored` is one of a database:
each is imported by itself, for decisions take only the first and the last.

An embedding of a transform is in a space of its own: `Transform.digest` is for its name.
"""
