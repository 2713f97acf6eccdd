/* Linked into the llama.cpp libraries. The libstdc++ that is linked with them takes random numbers from arc4random,
 * which glibc has since 2.36; the kernel gives the same, and the libraries then start on glibc 2.34. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

__attribute__((visibility("hidden"))) uint32_t arc4random(void) {
    uint32_t value;
    while (getrandom(&value, sizeof value, 0) != sizeof value) {
        if (errno != EINTR) {
            abort();
        }
    }
    return value;
}
