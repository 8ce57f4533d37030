// A histogram of microseconds with about 3% resolution: 32 buckets per power of two, no allocation.
#pragma once
#include <stdint.h>
#include <string.h>

enum { SUB_BITS = 5, SUB = 1 << SUB_BITS, BUCKETS = 40 * SUB };

typedef struct {
  uint64_t count[BUCKETS];
  uint64_t total;
} histogram;

static inline unsigned histogram_bucket(uint64_t us) {
  if (us < SUB) return (unsigned)us;
  unsigned shift = 63 - __builtin_clzll(us) - SUB_BITS;
  unsigned bucket = (shift + 1) * SUB + ((us >> shift) & (SUB - 1));
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

// Smallest value that falls into `bucket`.
static inline uint64_t histogram_value(unsigned bucket) {
  if (bucket < SUB) return bucket;
  return (uint64_t)(SUB + bucket % SUB) << (bucket / SUB - 1);
}

static inline void histogram_add(histogram *h, uint64_t us) {
  h->count[histogram_bucket(us)]++;
  h->total++;
}

static inline void histogram_clear(histogram *h) { memset(h, 0, sizeof *h); }

// The value that `share` (0..1) of all entries do not exceed; 0 when empty.
static inline uint64_t histogram_percentile(const histogram *h, double share) {
  uint64_t seen = 0;
  for (unsigned i = 0; i < BUCKETS; i++) {
    seen += h->count[i];
    if (h->total && seen >= share * h->total) return histogram_value(i);
  }
  return 0;
}
