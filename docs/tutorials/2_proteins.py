"""
Align two proteins
==================

Sequences of letters are aligned by a table that says what it is worth to pair two letters. For
proteins that is BLOSUM62, here as Biopython brings it; the sequences are human globins.
"""

from io import StringIO

import matplotlib.pyplot as plt
import numpy as np
from Bio import SeqIO
from Bio.Align import substitution_matrices

import fastsw

# %%
# From FASTA to a similarity
# --------------------------
# A similarity matrix is the table, looked up at the letters of both sequences. That takes one line
# of NumPy once the letters are numbers.

fasta = """\
>alpha haemoglobin subunit alpha
VLSPADKTNVKAAWGKVGAHAGEYGAEALERMFLSFPTTKTYFPHFDLSHGSAQVKGHGKKVADALTNAVAHVDDMPNALSALSDL
HAHKLRVDPVNFKLLSHCLLVTLAAHLPAEFTPAVHASLDKFLASVSTVLTSKYR
>beta haemoglobin subunit beta
VHLTPEEKSAVTALWGKVNVDEVGGEALGRLLVVYPWTQRFFESFGDLSTPDAVMGNPKVKAHGKKVLGAFSDGLAHLDNLKGTFA
TLSELHCDKLHVDPENFRLLGNVLACVLIVGHHFGKEFTPPVQAAYQKVVAGVANALAHKYH
>myoglobin
GLSDGEWQLVLNVWGKVEADIPGHGQEVLIRLFKGHPETLEKFDKFKHLKSEDEMKASEDLKKHGATVLTALGGILKKKGHHEAEI
KPLAQSHATKHKIPVKYLEFISECIIQVLQSKHPGDFGADAQGAMNKALELFRKDMASNYKELGFQG
"""

blosum62 = substitution_matrices.load("BLOSUM62")
table = np.array(blosum62, dtype=np.float32)
number = {letter: k for k, letter in enumerate(blosum62.alphabet)}
letters = {record.id: str(record.seq) for record in SeqIO.parse(StringIO(fasta), "fasta")}
codes = {name: np.array([number[c] for c in text]) for name, text in letters.items()}
similarity = table[np.ix_(codes["alpha"], codes["beta"])]
penalties = {"gap_open": 11.0, "gap_extend": 1.0}
path = fastsw.traceback(similarity, **penalties)
print(path)

# %%
# The penalties are costs, so they are positive, and ``gap_open`` is all that the first residue of a
# gap costs. (BLAST's 11 and 1 charge a gap of k residues 11 + k, which is ``gap_open=12`` here.)
# The letters of the path:


def show(path, first, second, width=60):
    """Print two aligned sequences below each other; a gap is a dash, an equal letter a bar."""
    above, below = "", ""
    i, j = path.pairs[0]
    for row, column in path.pairs:
        gap_i, gap_j = first[i:row], second[j:column]
        above += gap_i + "-" * len(gap_j) + first[row]
        below += "-" * len(gap_i) + gap_j + second[column]
        i, j = row + 1, column + 1
    bars = "".join("|" if a == b else " " for a, b in zip(above, below, strict=True))
    for start in range(0, len(above), width):
        for line in (above, bars, below):
            print(line[start : start + width])
        print()


show(path, letters["alpha"], letters["beta"])

# %%
# How sure is each pair?
# ----------------------
# BLOSUM62 counts in half bits: a score of 1 is a factor of sqrt(2) in the odds. So the temperature
# at which scores are log-odds is 2 / log(2), about 2.9. The posterior then says how far each pair
# of residues can be trusted: near the gaps less than elsewhere.

half_bits = 2 / np.log(2)
posterior = fastsw.posterior(similarity, temperature=half_bits, **penalties)
ax = fastsw.plot.alignment(similarity, posterior)
ax.set(xlabel="residue of beta", ylabel="residue of alpha")
plt.show()

# %%
# The path of maximum expected accuracy takes the pairs that are most probable together, instead of
# the best score. With a threshold it leaves out what is rather unlikely; what remains can be
# printed as it is, or used as a mask.

surest = fastsw.mea(posterior, threshold=0.5)
print(f"best path: {len(path)} pairs, {posterior[tuple(path.pairs.T)].sum():.1f} expected right")
print(f"surest: {len(surest)} pairs, {surest.score:.1f} expected right")

# %%
# A batch of unequal lengths
# --------------------------
# A list of matrices of different sizes is a batch: one call, all threads, one answer a pair.

names = list(codes)
pairs = [(a, b) for k, a in enumerate(names) for b in names[k + 1 :]]
matrices = [table[np.ix_(codes[a], codes[b])] for a, b in pairs]
scores = fastsw.score(matrices, temperature=0.0, **penalties)
for (a, b), score in zip(pairs, scores, strict=True):
    print(f"{a:>9} and {b:9} score {score:.0f}")

# %%
# One query against many
# ----------------------
# To look for relatives of a query, score it against every sequence of a collection, some hundred
# at a time, so that memory holds only so many matrices. Here are 5,000 random sequences, and
# hidden among them twenty copies of the query in which 6 of 10 residues are replaced and a
# piece is missing.

rng = np.random.default_rng(1)
residues = np.array([number[c] for c in "ACDEFGHIKLMNPQRSTVWY"])
query = codes["alpha"]


def mutant():
    """The query with most of its residues replaced and up to twenty missing in a row."""
    copy = np.where(rng.random(len(query)) < 0.6, rng.choice(residues, len(query)), query)
    start = rng.integers(10, 100)
    return np.delete(copy, np.s_[start : start + rng.integers(1, 20)])


collection = [rng.choice(residues, rng.integers(80, 200)) for _ in range(5000)]
hidden = rng.choice(5000, 20, replace=False)
for k in hidden:
    collection[k] = mutant()

profile = table[query]  # (141, letters): what each letter is worth at each place of the query
scores = np.concatenate(
    [
        fastsw.score(
            [profile[:, target] for target in collection[start : start + 500]],
            temperature=0.0,
            **penalties,
        )
        for start in range(0, len(collection), 500)
    ]
)
found = np.argsort(-scores)[:20]
print(f"{len(set(found) & set(hidden))} of the 20 hidden ones are the 20 best")

others = np.delete(scores, hidden)
bins = np.linspace(0, scores.max() + 5, 60)
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.hist(others, bins, label="random sequences")
ax.hist(scores[hidden], bins, label="relatives of the query")
ax.set(xlabel="score of the best local alignment", ylabel="sequences", yscale="log")
ax.legend(frameon=False)
plt.show()
