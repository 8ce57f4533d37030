// Named limits; binding.ts says what they mean to the caller.
#ifndef SLUICE_DTLS_LIMITS_H_
#define SLUICE_DTLS_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace dtls {

constexpr size_t kRecordBytesMax = 16384;
/** What encryption adds to it at most. */
constexpr size_t kSealingBytesMax = 256;
constexpr size_t kOutputDatagramsMax = 64;
constexpr uint32_t kMtuMin = 256;
constexpr uint32_t kMtuMax = 16384;
constexpr uint32_t kMtuDefault = 1200;
constexpr size_t kPskIdentityBytesMax = 256;
constexpr size_t kPskKeyBytesMax = 256;
constexpr size_t kPeerBytesMax = 64;
constexpr uint32_t kRetransmitMsDefault = 1000;
/** OpenSSL takes less than 15 ms for now. */
constexpr uint32_t kRetransmitMsMin = 20;
constexpr uint32_t kRetransmitMsMax = 60000;
constexpr uint32_t kTicketSecondsDefault = 86400;
constexpr uint32_t kTicketSecondsMax = 604800;
constexpr uint32_t kCookieSecondsDefault = 300;
constexpr uint32_t kCookieSecondsMax = 86400;

/** A certificate chain of the peer, and with it any handshake message that is put together from fragments. */
constexpr long kCertificateListBytesMax = 16384;

/**
 * Records of the next epoch that one handshake may bring before it is complete. OpenSSL keeps each that comes before
 * its keys do, with a buffer of 17 KB, up to a hundred: 1.7 MB for whoever knows the way back to its address.
 */
constexpr uint32_t kEarlyRecordsMax = 16;

/** What a session holds of OpenSSL's memory when it is idle; V8 is told so, README.md says how it was measured. */
constexpr int64_t kSessionBytes = 65536;

}  // namespace dtls

#endif  // SLUICE_DTLS_LIMITS_H_
