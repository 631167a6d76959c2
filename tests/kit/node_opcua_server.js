// An OPC UA server on node-opcua, for tests: a peer that nobody here wrote.
//
//   NODE_OPCUA_HOME=.servers/node-opcua node tests/kit/node_opcua_server.js '<options as JSON>'
//
// Options, all but the port with a default:
//   port          where it listens, on 127.0.0.1
//   namespaces    URIs, registered in this order; ["urn:test:plant"]
//   variables     how many variables v0, v1, ... are in urn:test:plant, under Objects/Feeders/F<n>/P; 3
//   periodMs      every variable changes each time this much time has passed; 0 for never; 100
//   limits        operation limits, as node-opcua names them, such as {"maxMonitoredItemsPerCall": 500}
//   historyMs     how far back the history goes that it starts with; 0 for no history at all
//   policies      security policies it offers; ["None"]
//   modes         message security modes; ["None"] with policy None alone, else ["Sign", "SignAndEncrypt"] too
//   anonymous     whether a session needs no user; true
//   users         {name: password}
//   pki           folder of its certificates (own, trusted, rejected); it makes its own where there is none
//   userPki       folder of the certificates its users may have
//   accept        whether it takes a client's certificate that it has never seen; true
//   uri           its application URI; urn:test:server
//   certificate, key   PEM files to serve with in place of its own
//
// The value of every variable is the number of whole periods since 1970, and its source time is the beginning of that period: whoever
// knows the period knows which values there were. It prints "ready", and then obeys lines on its standard input:
//   {"set": "v0", "value": 1.5, "status": "Good", "at": 1700000000000}    status and time (ms) may be left out
//   {"hold": true}                                                        stop changing, or go on
"use strict";
console.log = console.warn = console.info = console.error; // standard output says "ready" and nothing else
const path = require("path");
const readline = require("readline");
const home = process.env.NODE_OPCUA_HOME;
const opcua = require(path.join(home, "node_modules", "node-opcua"));

const PLANT = "urn:test:plant";
const options = JSON.parse(process.argv[2]);
const periodMs = options.periodMs ?? 100;
const historyMs = options.historyMs ?? 0;
const policies = options.policies ?? ["None"];
const secure = policies.some((policy) => policy !== "None");

function number(value) {
    return new opcua.Variant({ dataType: opcua.DataType.Double, value });
}

function server() {
    const users = options.users ?? {};
    const modes = [];
    if (policies.includes("None")) modes.push("None");
    if (secure) modes.push("Sign", "SignAndEncrypt");
    const given = {
        host: "127.0.0.1",
        hostname: "127.0.0.1",
        port: options.port,
        securityPolicies: policies.map((policy) => opcua.SecurityPolicy[policy]),
        securityModes: (options.modes ?? modes).map((mode) => opcua.MessageSecurityMode[mode]),
        allowAnonymous: options.anonymous ?? true,
        userManager: { isValidUser: (name, password) => name in users && users[name] === password },
        serverInfo: { applicationUri: options.uri ?? "urn:test:server" },
        serverCapabilities: { operationLimits: options.limits ?? {}, maxSessions: 100 },
        maxConnectionsPerEndpoint: 100,
    };
    if (options.certificate) {
        given.certificateFile = options.certificate;
        given.privateKeyFile = options.key;
    }
    given.serverCertificateManager = new opcua.OPCUACertificateManager({
        rootFolder: options.pki,
        automaticallyAcceptUnknownCertificate: options.accept ?? true,
        disableFileWatchers: true,
    });
    given.userCertificateManager = new opcua.OPCUACertificateManager({
        rootFolder: options.userPki,
        automaticallyAcceptUnknownCertificate: false,
        disableFileWatchers: true,
    });
    return new opcua.OPCUAServer(given);
}

function build(addressSpace) {
    let plant = addressSpace.getOwnNamespace();
    for (const uri of options.namespaces ?? [PLANT]) {
        const namespace = addressSpace.registerNamespace(uri);
        if (uri === PLANT) plant = namespace;
    }
    const feeders = plant.addFolder(addressSpace.rootFolder.objects, { browseName: "Feeders", nodeId: "s=Feeders" });
    const variables = new Map();
    for (let n = 0; n < (options.variables ?? 3); n++) {
        const feeder = plant.addObject({ organizedBy: feeders, browseName: `F${n}`, nodeId: `s=F${n}` });
        const variable = plant.addVariable({
            componentOf: feeder,
            browseName: "P",
            nodeId: `s=v${n}`,
            dataType: "Double",
            minimumSamplingInterval: 0,
            value: number(0),
        });
        variables.set(`v${n}`, variable);
    }
    return variables;
}

function past(addressSpace, variables) {
    const first = Math.ceil((Date.now() - historyMs) / periodMs);
    const last = Math.floor(Date.now() / periodMs);
    for (const variable of variables.values()) {
        variable.setValueFromSource(number(first), opcua.StatusCodes.Good, new Date(first * periodMs));
        addressSpace.installHistoricalDataNode(variable, { maxOnlineValues: 1000000 });
        for (let k = first + 1; k < last; k++) {
            variable.setValueFromSource(number(k), opcua.StatusCodes.Good, new Date(k * periodMs));
        }
    }
    return last - 1;
}

function change(variables, state) {
    const now = Math.floor(Date.now() / periodMs);
    // A period that the event loop was late for is made up for where there is a history; there, none may be missing.
    for (let k = historyMs > 0 ? state.last + 1 : now; !state.hold && k > state.last && k <= now; k++) {
        state.last = k;
        for (const variable of variables.values()) {
            variable.setValueFromSource(number(k), opcua.StatusCodes.Good, new Date(k * periodMs));
        }
    }
}

function obey(line, variables, state) {
    const order = JSON.parse(line);
    if ("hold" in order) state.hold = order.hold;
    if ("set" in order) {
        const status = opcua.StatusCodes[order.status ?? "Good"];
        variables.get(order.set).setValueFromSource(number(order.value), status, new Date(order.at ?? Date.now()));
    }
}

async function main() {
    const it = server();
    await it.initialize();
    const addressSpace = it.engine.addressSpace;
    const variables = build(addressSpace);
    const state = { hold: false, last: historyMs > 0 ? past(addressSpace, variables) : 0 };
    if (periodMs > 0) {
        change(variables, state);
        setInterval(() => change(variables, state), Math.max(5, Math.min(50, periodMs / 4)));
    }
    await it.start();
    process.stdout.write("ready\n");
    readline.createInterface({ input: process.stdin }).on("line", (line) => obey(line, variables, state));
}

main().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
