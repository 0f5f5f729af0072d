/* SPDX-License-Identifier: Apache-2.0
 * Read anew for each status: that is once a minute. */
#include "agent/show/agent_status.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t agent_status_resident(void) {
    unsigned long long pages = 0, resident = 0;
    FILE *const file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    const int read = fscanf(file, "%llu %llu", &pages, &resident);
    fclose(file);
    return read == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void agent_status_certificate(const struct enrol *enrol, const char *path, struct arena *arena,
                              struct certificate_report *ret_report) {
    *ret_report = (struct certificate_report){.error = ""};
    struct fault fault;
    struct certificate_view view;
    slice pem;
    if (enrol) {
        struct enrol_report report;
        enrol_report(enrol, &report);
        memcpy(ret_report->serial, report.serial, sizeof ret_report->serial);
        ret_report->not_before_ms = report.not_before_ms;
        ret_report->not_after_ms = report.not_after_ms;
        ret_report->renews = true;
        ret_report->error = report.error;
    } else if (!identity_file(path, arena, &pem, &fault) && !certificate_read(pem, &view, &fault)) {
        memcpy(ret_report->serial, view.serial, sizeof ret_report->serial);
        ret_report->not_before_ms = view.not_before_ms;
        ret_report->not_after_ms = view.not_after_ms;
    }
}

void agent_status_join(const char *const *texts, size_t count, char *ret_text, size_t text_bytes) {
    size_t used = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < count && used + 1 < text_bytes; i++)
        if (texts[i][0])
            used += (size_t)snprintf(ret_text + used, text_bytes - used, "%s%s", used ? "; " : "", texts[i]);
}
