/* SPDX-License-Identifier: Apache-2.0
 * The agent's keys and certificates on disk: a folder that only we can read. The key and the certificate that go together
 * are one file, so that both are replaced in one step; its first line has the SHA-256 of the token that they were got with, and
 * a renewal keeps it: another token in the token's file is one that was not used yet. Owner: the agent's loop thread. */
#ifndef PICKET_ENROL_IDENTITY_H
#define PICKET_ENROL_IDENTITY_H

#include "common/net/certificate.h"

enum { IDENTITY_PATH_BYTES = 512 };

struct identity {
    char folder[IDENTITY_PATH_BYTES - 32];
    char name[CERTIFICATE_NAME_BYTES];                                  /* <tenant>/<agent> */
    char current[IDENTITY_PATH_BYTES], next[IDENTITY_PATH_BYTES];       /* key and certificate */
    char next_key[IDENTITY_PATH_BYTES], authority[IDENTITY_PATH_BYTES]; /* a key that waits for its certificate */
    bool has_current, has_next;
    struct certificate_view current_view, next_view;
    char current_token[CERTIFICATE_HASH_BYTES], next_token[CERTIFICATE_HASH_BYTES]; /* "": not known */
};

/* Makes the folder, and looks what is there: what cannot be read, or is of another name, is passed over, and ret_passed
 * says why (code FAULT_NONE: nothing was). */
fault_code identity_open(const char *folder, const char *name, struct identity *ret_identity, struct fault *ret_passed,
                         struct fault *reterr) MUST_CHECK;
/* The key for the next certificate, PEM: the one that waits, or a new one, which is on disk when this returns. */
fault_code identity_next_key(struct identity *identity, char ret_pem[CERTIFICATE_KEY_PEM_BYTES],
                             struct fault *reterr) MUST_CHECK;
/* The certificate for the waiting key came, by the token of that hash (NULL: by the current certificate, whose token is
 * kept). FAULT_INPUT: it is not for that key, or of another name. */
fault_code identity_keep_next(struct identity *identity, const char *token_hash, slice certificate_pem,
                              slice authority_pem, struct fault *reterr) MUST_CHECK;
/* The next one takes the place of the current one; its file stays until there is another: a connection reads it again
 * whenever it has to be made anew. */
fault_code identity_promote(struct identity *identity, struct fault *reterr) MUST_CHECK;
/* A small text file whole, into the arena, with a NUL behind it. */
fault_code identity_file(const char *path, struct arena *arena, slice *ret_text, struct fault *reterr) MUST_CHECK;

#endif
