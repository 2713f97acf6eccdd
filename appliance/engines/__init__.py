"""Text to answers: the engine protocol and its implementations.

Answers under a grammar
-----------------------
`line_decoder.py` decides at each token what is forced, what is allowed, and how likely the value was. It is used by the
llama engine, the ONNX engine and the torch reference, so they differ in arithmetic only.
- Field prefixes are forced, and so is every token of an enum after which only one continuation is left.
- A value of a field with `evidence = "literal"` is a span of the document that stands alone there (no cut word or
  number), whatever its case and blanks, or null; the answer has it in the document's case. The alternative, free text
  checked afterwards, was left: a small student's commonest mistake is a misspelt copy, and this removes it for about 30
  microseconds a token.
- The confidence of a value is the product over its tokens of their probability among the tokens that could stand there.
  Likelier tokens that the grammar refuses are taken out of the sum.

Long documents
--------------
`[input] long` of a task says what becomes of a document that the context does not hold.
An encoder cuts it by tokens and takes the mean. Before a decoder stands `long_documents.py`, for jobs, gate and
comparison alike: what the engine refuses as too long is cut at line ends into windows, by what the whole took in
tokens; one that still does not fit is cut again. With `window` they overlap by up to a quarter, and a field takes the
value that stands in its window with the highest confidence, of equal ones the first; its place is that in the whole
text. With `split` they do not overlap, and a list has the entries of all parts, each once. A field without a value in
any is null, as sure as the least sure window. A label is the one with the most confidence over the length. The
document keeps one row. At most 500 windows are read; a task whose answer is a text cannot be read so and is refused
before any work. A student that saw only whole short documents may find a value in a window that holds none: judge it
with long labelled rows, which the gate reads in the same windows.

One text a pass
---------------
An encoder takes one text a pass. Its int8 graph scales activations by all that is in a pass, so beside other texts a
document's confidence would depend on them, and with it on every kill, resume and shard. Alone, the same document always
gives the same row (a test compares bits). That costs a fifth of the engine's speed on texts of 15 tokens and gains as
much on those of 170. int8 decoders in ONNX still answer in batches.

Providers and products
----------------------
`onnx_session.py` opens every ONNX session, for exports too. onnxruntime itself refuses weights outside the model's
folder, we refuse links and folders beside it. int8 graphs and artifacts for `cpu` run on the CPU; others on CUDA where
the driver gives a device and the libraries load, silently on the CPU elsewhere. int8 products are exact on processors
without VNNI too (`session.x64quantprecision`; figures in docs/results.md). The CUDA path was never tried on a GPU.
"""
