/* A Modbus/TCP device by libmodbus: holding registers 0 to 999, of which every one moves a little at each poll. Usage: registers PORT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <modbus.h>

enum { REGISTERS = 1000 };

int main(int argc, char **argv) {
    modbus_t *ctx = argc == 2 ? modbus_new_tcp("127.0.0.1", atoi(argv[1])) : NULL;
    modbus_mapping_t *map = modbus_mapping_new(0, 0, REGISTERS, 0);
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    unsigned state = 1;
    int listening = ctx == NULL || map == NULL ? -1 : modbus_tcp_listen(ctx, 4);
    if (listening == -1) {
        fprintf(stderr, "registers: %s\n", modbus_strerror(errno));
        return 1;
    }
    for (int n = 0; n < REGISTERS; n++) map->tab_registers[n] = 10000 + 7 * n;
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(ctx, &listening) == -1) return 1;
        for (int size; (size = modbus_receive(ctx, query)) != -1;) {
            /* A request that begins at register 0 begins a poll. */
            if (size > 9 && query[8] == 0 && query[9] == 0)
                for (int n = 0; n < REGISTERS; n++) {
                    state = state * 1664525u + 1013904223u;
                    map->tab_registers[n] += (int)(state >> 28) - 7;
                }
            if (size > 0) modbus_reply(ctx, query, size, map);
        }
        close(modbus_get_socket(ctx));
    }
}
