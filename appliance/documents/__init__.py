"""Files to text, behind walls.

Readers
-------
Bytes to text, chosen by what the bytes are (`sniffing.py`), one module for each family.
- The text is what a person would read, in that order, one line for a line; a row of any table (DOCX, XLSX, PPTX, ODT,
  CSV, RTF, HTML) is one line with tabs between cells. Numbers of lists and headings are counted as Word and
  LibreOffice count them, as contracts refer to them. Charts are small tables; comments, footnotes and speaker's notes
  follow their text.
- Hidden text, rows, columns, sheets, slides and shapes are left out, and a note says so: a person would not see them,
  an attacker would use them. In a PDF that is what layers, flags, the edge of the page, colours and sizes hide;
  where a colour alone decides, the page is drawn with the text and without it. Elsewhere colours and places are not
  looked at.
- In Office files what styles, rows, columns, number formats, tracked changes and shapes hide counts as hidden. What is
  hidden in a browser's view only (`webHidden`) is read, as it is shown on paper. Prompts of empty form fields are no
  text. A note counts the related parts that nobody looked into (`related_parts.py`).
- A number in a workbook is written as its format shows it, with English points and commas, as the file's codes have
  them; a whole date as 2025-07-04 and a time as 14:30:00, as their order and language depend on the machine
  (`number_format.py`, `moments.py`).
- What is attached to a mail follows in the same document after the line `Attachment: NAME`, whatever its format, four
  mails deep. An attachment that cannot be read is named and noted, and does not fail the mail. Headers are brought into
  form before the standard library parses them (`mail_start.py`), and bodies are decoded by what they are
  (`transfer.py`). Signed content is read and its signature is not checked (`signed_data.py`).
- Encodings: a mark or a declaration counts if the bytes bear it out (`declared_charset.py`), else UTF-8, else the
  first of chardet's candidates that passes the rules of `charset.py`, which decide where there are few letters. A note
  names it.
- PDF: PDFium turns a line from right to left around letter by letter, and so the letters of a ligature as well; letters
  that stand in one and the same box are put back into their order. Smaller digits above the line beside others are
  raised ones, as in Office files. Lines are put together in the direction in which most letters of a page run; what
  runs across the page follows. Values of form fields come from the fields and stand
  where the fields do, marks as `[x]` and `[ ]`; what PDFium does not tell (layers, fields) comes from a plain copy that
  it writes. Data of XFA forms follows where no page shows it; embedded files follow like those of a mail.
- Bounds: 64 MB a file and a part, 256 MB unpacked, 20,000 parts, 200 levels, 16 million characters of text counted as
  they come out (a shared string in a million cells), 5,000 pages, 200 scanned ones, 120 million pixels; document
  types in Office XML are refused. Time and memory are the sandbox's.
- XLSX, PPTX, ODT, EPUB, RTF, DOCX and CSV are read with the standard library alone: what is needed is text, and
  bounds in every loop. XLS and XLSB are read with calamine (cells only), and how their cells are shown beside it
  (`binary_formats.py`). Not read: DOC, PPT, XML that is no web page,
  archives.
- `preload_plain_readers` imports all that readers of text, tables, HTML and RTF may need, `preload_readers` the rest
  when the first other document comes; afterwards no reader opens a file (a test watches). Models of text recognition
  are kept as bytes, and sessions are made in the parser that needs them, with one thread.

Sandbox
-------
Three processes stand between a file and its text.

- supervisor (`sandbox.py`): opens the file, passes the descriptor, believes nothing but lengths; may everything
- reader process (`reader_process.py`): loads the readers, hashes, keeps the time, forks parsers; looks into no
  document; may read libraries (Landlock)
- parser (`parser_process.py`): confines itself before the first byte, then makes text; may compute

- Walls, in the order in which a parser puts them up: no new privileges, no core file, no capabilities (as root),
  limits (2 GB on top of the program, 0 bytes written, 64 descriptors, processor time), a seccomp filter. Landlock
  stands before it forks: only libraries can be opened, for reading; no TCP, no signals to others.
- The filter (`seccomp.py`, classic BPF through `prctl`, no library) is a list of what is allowed; everything else is
  EPERM, so what later kernels add is denied too. Threads are allowed, processes and programs are not; `clone3` is
  ENOSYS, as its flags lie in memory. It is written for x86_64 and aarch64; other families of calls on x86 end the
  process.
- Limits and filter are required on these machines: without them documents are refused with exit code 4, unless
  `config.toml` says `sandbox = "best-effort"`. Landlock is used where it is; where it is missing the filter denies
  every opening of a file, and everything that reading needs has been loaded before (a test reads all formats so).
- What a document may leave behind for the next one: a parser that ran native code (PDFium, zlib, expat, images) ends
  with its document, and so does one after any failure. Text, HTML, RTF and CSV are read by Python alone and share a
  parser for 200 documents. The reader process clears the buffers that held a document before it forks again (a test
  looks into its memory). A parser of its own costs about 5 to 8 ms of processor time (measured on a loaded machine,
  an upper bound), of which the fork and its end are half. Where it is shared, a text of 450 bytes costs 0.06 ms in
  the parser (4 KB of prose 0.3 ms), 0.05 ms in the reader process and 0.1 ms in the supervisor; a reader process
  starts in 0.2 s.
- What a parser says of a document is bounded too: 100 notes and a message of 500 characters each, no halves of
  characters and no zeros, so that whatever it says can be written into a ledger.
- Text recognition loads a hundred megabytes: a parser that comes upon it stops, the reader process loads it once and
  reads that document again, with 30 minutes instead of one: a full page takes some 6 s, and 200 pages are read.
- The environment of a reader process holds nine harmless variables, so no key of a frontier is in reach.
- Not bounded: the number of threads of a parser, but by its memory and time. Names and sizes of files (`stat`) can be
  asked for; their contents cannot be read. The number of types that the form of a job shows comes from the first 64
  KB of files, looked at by `sniffing.py` in the program itself: Python alone, and no search in it can go astray (a
  test).
- Whatever reads a document goes this way, on the builder's machine too: `run`, its dry run, `compare`, `egress
  preview`, `collect` and `demo`. Therefore `training` may use `appliance/documents/`, in which there is neither an
  engine nor a job (a contract checks that); `read_files` there reads several at once and gives them in order.
- A child process is started with `-P`: among hostile documents may lie a `json.py`, and an operator may stand among
  them.
"""
