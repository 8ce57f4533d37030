// OpenSSL's errors and TLS's alerts in words.
#ifndef SLUICE_DTLS_REASON_H_
#define SLUICE_DTLS_REASON_H_

#include <string>

namespace dtls {

/** The first error of this thread's queue, which is cleared; "" = there was none. */
std::string take_reason();

/** "alert unknown CA" and the like. */
std::string alert_text(int description);

}  // namespace dtls

#endif  // SLUICE_DTLS_REASON_H_
