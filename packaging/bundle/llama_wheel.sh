#!/bin/sh
# Builds the llama-cpp-python wheel that runs on every x86-64-v3 processor (AVX2, FMA, F16C, BMI2), into FOLDER.
#
#     packaging/bundle/llama_wheel.sh FOLDER
#
# Every flag is named: without GGML_NATIVE=OFF the wheel needs the processor that built it, and where
# SOURCE_DATE_EPOCH is set, the source switches AVX2 and its like off in silence. pip's cache of wheels is not used,
# because it does not look at CMAKE_ARGS. The source comes by its hash from packaging/lock/llama-source.txt. A build
# that was stopped goes on where it was; a wheel that was built by this very recipe is kept.
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd)

[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
python=${PYTHON:-$root/.venv/bin/python}
work=$out/llama-work
locked=$(sed -n 's/^llama-cpp-python==\([^ ]*\) --hash=sha256:\([0-9a-f]*\)$/\1 \2/p' packaging/lock/llama-source.txt)
source=$out/llama_cpp_python-${locked% *}.tar.gz
recipe=$(cat "$0" packaging/bundle/older_glibc.c packaging/lock/llama-*.txt | sha256sum | cut -c 1-64)

say() { echo "llama wheel: $1" >&2; }
locked_source() { echo "${locked#* }  $source" | sha256sum --quiet --check >/dev/null 2>&1; }

wheel() { ls "$out"/llama_cpp_python-*.whl; }

if wheel >/dev/null 2>&1 && [ "$(cat "$out/recipe" 2>/dev/null)" = "$recipe" ]; then
    exit 0
fi
if ! locked_source; then
    say "fetch the source"
    "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --no-binary :all: \
        --build-constraint packaging/lock/llama-build.txt --require-hashes -r packaging/lock/llama-source.txt -d "$out"
    locked_source || { say "the source that came has another hash than the lock"; exit 1; }
fi
if [ "$(cat "$work/recipe" 2>/dev/null)" != "$recipe" ]; then
    rm -rf "$work"
    mkdir -p "$work/source"
    # The same folder name for every build: it is part of what the compiler sees.
    tar -xzf "$source" -C "$work/source" --strip-components=1
    # The library of llama.cpp's own programs is forced on; nothing here loads it, and it takes a third of the time.
    forced='set(LLAMA_BUILD_COMMON ON CACHE BOOL "Build llama.cpp common library" FORCE)'
    grep -q -F "$forced" "$work/source/CMakeLists.txt" ||
        { say "the source has changed: LLAMA_BUILD_COMMON is not where it was"; exit 1; }
    sed -i 's/set(LLAMA_BUILD_COMMON ON CACHE/set(LLAMA_BUILD_COMMON OFF CACHE/' "$work/source/CMakeLists.txt"
    echo "$recipe" >"$work/recipe"
fi

# One level above the source, so that the commit of whatever holds this folder is not built in.
export GIT_CEILING_DIRECTORIES="$work"
# Zip entries get this time; 1980-01-01 is the earliest that the format knows.
export SOURCE_DATE_EPOCH=315532800
export CFLAGS="-ffile-prefix-map=$work=." CXXFLAGS="-ffile-prefix-map=$work=."
# libstdc++ goes into the libraries, because a server's own may be older, with a stand-in for what it wants of a newer
# glibc. libgcc_s stays outside: every system has it, and the one linked in would want glibc 2.35. OpenMP is off, so
# libgomp is not needed.
${CC:-cc} -O2 -fPIC -c packaging/bundle/older_glibc.c -o "$work/older_glibc.o"
export LDFLAGS="$work/older_glibc.o -static-libstdc++ -Wl,--exclude-libs,libstdc++.a -Wl,-z,relro,-z,now"
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
export CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON \
-DGGML_BMI2=ON -DGGML_AVX_VNNI=OFF -DGGML_AVX512=OFF -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF -DLLAVA_BUILD=OFF \
-DLLAMA_OPENSSL=OFF -DCMAKE_INSTALL_LIBDIR=llama_cpp/lib -DCMAKE_INSTALL_INCLUDEDIR=llama_cpp/include"
say "compile it, $CMAKE_BUILD_PARALLEL_LEVEL at a time"
rm -rf "$work/wheel"
"$python" -m pip wheel --disable-pip-version-check --no-cache-dir --no-deps \
    --build-constraint packaging/lock/llama-build.txt --config-settings=build-dir="$work/build" \
    --wheel-dir "$work/wheel" "$work/source"
rm -f "$out"/llama_cpp_python-*.whl "$out/recipe"
mv "$work"/wheel/llama_cpp_python-*.whl "$out/"
mv "$work/recipe" "$out/recipe"
rm -rf "$work"
say "done: $(wheel)"
